"""Which files of ../shared/vectors a test run truly opened: "passed" is only said of those.

`make vectors` names a folder in the environment; each pytest process (xdist starts several) then
leaves one file there with the vectors it opened, one path relative to ../shared/vectors per line.
"""

import os
import sys
from pathlib import Path
from typing import Final

from tests.shared import SHARED_ROOT

FOLDER_VARIABLE: Final = "CARETREE_VECTOR_READS"

_PREFIX: Final = str(SHARED_ROOT / "vectors") + os.sep
_opened: Final[set[str]] = set()


def record_if_asked() -> None:
    """Adds the audit hook, once a process, if the environment names a folder for the record."""
    if FOLDER_VARIABLE in os.environ:
        sys.addaudithook(_note_open)


def write_record() -> None:
    """Writes the record of this process into the named folder, if there is one."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder is not None:
        lines = "".join(f"{path}\n" for path in sorted(_opened))
        Path(folder, f"{os.getpid()}.txt").write_text(lines, encoding="utf-8")


def read_records(folder: Path) -> frozenset[str]:
    """The vectors that any process opened, relative to ../shared/vectors."""
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.txt")]
    return frozenset(line for text in texts for line in text.splitlines())


def _note_open(event: str, arguments: tuple[object, ...]) -> None:
    if event != "open":
        return
    path = arguments[0]
    if isinstance(path, str | os.PathLike):
        text = os.fspath(path)
        if isinstance(text, str) and text.startswith(_PREFIX):
            _opened.add(text.removeprefix(_PREFIX).replace(os.sep, "/"))
