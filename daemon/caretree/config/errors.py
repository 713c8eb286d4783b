"""What is wrong with a configuration file, and where."""

from pathlib import Path

from caretree.model.errors import RejectedError


class ConfigError(RejectedError):
    """A configuration file is refused. Carries its path, the line (or None), the key, and why.

    The message names what was expected and what kind of thing was found, never a text from the
    file: somebody may have put a secret where none belongs.
    """

    def __init__(self, path: Path, *, line: int | None, key: str, expected: str) -> None:
        place = str(path) if line is None else f"{path}:{line}"
        super().__init__(": ".join(part for part in (place, key, expected) if part))
        self.path = path
        self.line = line
        self.key = key
        self.expected = expected
