"""One table of a configuration file, from which typed values are taken by key."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, NoReturn

from caretree.config.errors import ConfigError
from caretree.config.lines import KeyPath, line_of

TEXT_LENGTH_MAX: Final = 4096
PORT_MAX: Final = 65535

_ADDRESS: Final = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?):(?P<port>[0-9]{1,5})"
)
_KINDS: Final = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def split_address(address: str) -> tuple[str, int]:
    """Host and port of a checked host:port, the host without brackets."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_address(text: str) -> bool:
    """Whether a text is host:port, an IPv6 host in brackets, the port 1 to 65535."""
    match = _ADDRESS.fullmatch(text)
    return match is not None and 1 <= int(match["port"]) <= PORT_MAX


class Section:
    """A table being read. Each key is taken once; `finish` refuses what nobody asked for."""

    __slots__ = ("_lines", "_path", "_source", "_taken", "_values")

    def __init__(
        self,
        values: Mapping[str, object],
        *,
        source: Path,
        lines: Mapping[KeyPath, int],
        path: KeyPath = (),
    ) -> None:
        self._values = values
        self._source = source
        self._lines = lines
        self._path = path
        self._taken: list[str] = []

    def has(self, key: str) -> bool:
        """Whether the file sets a key that it may leave out."""
        self._taken.append(key)
        return key in self._values

    def table(self, key: str, *, required: bool) -> "Section":
        """The table under a key; an empty one where it may be absent and is.

        Raises:
            ConfigError: it is no table, or is required and absent.
        """
        value = self._take(key)
        if value is None and not required:
            value = {}
        if not isinstance(value, dict):
            self._expected(key, f"a table [{key}]", value)
        return self._inner(value, key)

    def tables(self, key: str) -> list["Section"]:
        """The tables of an array of tables, in the file's order.

        Raises:
            ConfigError: it is something else.
        """
        values = self._take(key)
        values = [] if values is None else values
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            self._expected(key, f"tables [[{key}]]", values)
        return [self._inner(value, key, place) for place, value in enumerate(values)]

    @property
    def names(self) -> list[str]:
        """The keys that the file sets in this table."""
        return list(self._values)

    def text(self, key: str) -> str:
        """A text that is not empty.

        Raises:
            ConfigError: it is absent or something else.
        """
        value = self._take(key)
        if not isinstance(value, str):
            self._expected(key, "a text", value)
        if not 0 < len(value) <= TEXT_LENGTH_MAX or not value.isprintable():
            self.refuse(key, f"expected 1 to {TEXT_LENGTH_MAX} printable characters")
        return value

    def choice(self, key: str, choices: Collection[str]) -> str:
        """One of the given texts.

        Raises:
            ConfigError: it is none of them.
        """
        value = self.text(key)
        if value not in choices:
            self.refuse(key, f"expected one of {', '.join(choices)}")
        return value

    def choices(self, key: str, choices: Collection[str]) -> list[str]:
        """Some of the given texts, each at most once; none where the key is absent.

        Raises:
            ConfigError: it is something else.
        """
        if not self.has(key):
            return []
        values = self._take(key)
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            self._expected(key, "a list of texts", values)
        if len(set(values)) < len(values) or not set(values) <= set(choices):
            self.refuse(key, f"expected some of {', '.join(choices)}, each once")
        return values

    def path(self, key: str) -> Path:
        """A path; a relative one counts from the file's own directory.

        Raises:
            ConfigError: it is absent or something else.
        """
        return self._source.parent / self.text(key)

    def address(self, key: str) -> str:
        """A host:port.

        Raises:
            ConfigError: it is absent or something else.
        """
        value = self.text(key)
        if not is_address(value):
            self.refuse(key, f"expected host:port, the port 1 to {PORT_MAX}, IPv6 in brackets")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false.

        Raises:
            ConfigError: it is something else.
        """
        if not self.has(key):
            return default
        value = self._take(key)
        if not isinstance(value, bool):
            self._expected(key, "true or false", value)
        return value

    def integer(self, key: str, *, unit: str, low: int, high: int, default: int) -> int:
        """A whole number of the key's unit, from `low` to `high`.

        Raises:
            ConfigError: it is something else.
        """
        if not self.has(key):
            return default
        value = self._take(key)
        if isinstance(value, bool) or not isinstance(value, int):
            self._expected(key, f"a whole number of {unit}", value)
        if not low <= value <= high:
            self.refuse(key, f"expected {low} to {high} {unit}, found {value}")
        return value

    def finish(self) -> None:
        """Nothing, when every key of the table was taken.

        Raises:
            ConfigError: naming the first key that is not known.
        """
        for key in self._values:
            if key not in self._taken:
                self.refuse(key, f"unknown key; known here: {', '.join(sorted(set(self._taken)))}")

    def refuse(self, key: str, expected: str) -> NoReturn:
        """Say what is wrong with a key of this table.

        Raises:
            ConfigError: always.
        """
        path = (*self._path, key) if key else self._path
        raise ConfigError(
            self._source,
            line=line_of(self._lines, path),
            key=".".join(str(part) for part in path if isinstance(part, str)),
            expected=expected,
        )

    def _take(self, key: str) -> object:
        self._taken.append(key)
        return self._values.get(key)

    def _inner(self, values: Mapping[str, object], *parts: str | int) -> "Section":
        path = (*self._path, *parts)
        return Section(values, source=self._source, lines=self._lines, path=path)

    def _expected(self, key: str, expected: str, found: object) -> NoReturn:
        if found is None:
            self.refuse(key, f"expected {expected}, and it is missing")
        kind = _KINDS.get(type(found), "something else")
        self.refuse(key, f"expected {expected}, found {kind}")
