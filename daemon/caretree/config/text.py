"""A TOML file on disk -> the section at its root."""

import re
import tomllib
from pathlib import Path
from typing import Final

from caretree.config.errors import ConfigError
from caretree.config.lines import key_lines
from caretree.config.section import Section
from caretree.model.limits import MIB

FILE_BYTES_MAX: Final = 1 * MIB
# Reading a dotted key takes time and memory that grow with the square of its parts.
LINE_DOTS_MAX: Final = 256


def open_document(path: Path) -> Section:
    """The root of the file's tables.

    Raises:
        ConfigError: the file cannot be read, is too large, or is not TOML in UTF-8.
    """
    source = Path(path).absolute()
    text = read_text(source)
    _check_dots(source, text)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # The message's "(at line 3, column 5)" is tomllib's only word on the place.
        place = re.search(r"at line (\d+)", str(error))
        line = None if place is None else int(place[1])
        raise ConfigError(source, line=line, key="", expected=f"not TOML: {error}") from error
    except RecursionError:
        raise ConfigError(source, line=None, key="", expected="nested too deeply") from None
    except ValueError:  # the interpreter's own bound, which tomllib lets through
        expected = "a number has too many digits"
        raise ConfigError(source, line=None, key="", expected=expected) from None
    return Section(values, source=source, lines=key_lines(text))


def read_text(source: Path) -> str:
    """The text of a configuration file, its lines ended in one way.

    Raises:
        ConfigError: the file cannot be read, is too large, or is not UTF-8.
    """
    try:
        with source.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise ConfigError(source, line=None, key="", expected=reason) from error
    if len(content) > FILE_BYTES_MAX:
        expected = f"expected at most {FILE_BYTES_MAX} bytes"
        raise ConfigError(source, line=None, key="", expected=expected)
    try:
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(source, line=line, key="", expected="expected UTF-8") from error


def _check_dots(source: Path, text: str) -> None:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > LINE_DOTS_MAX:
            expected = f"expected at most {LINE_DOTS_MAX} dots in a line"
            raise ConfigError(source, line=number, key="", expected=expected)
