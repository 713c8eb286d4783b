"""The data directory: what lies where, its format version, its lock, and its possible states.

    VERSION     text: format version and suite; written last, so it says that creation was whole
    LOCK        held by the one process that uses the directory
    database/   LevelDB
    watermark   see `watermark`

Other files may lie beside these. A directory in which only some are found is refused: either its
creation was cut short, or someone removed what must not be missing, and the two cannot be told
apart.
"""

import fcntl
import os
import re
from enum import Enum
from pathlib import Path
from typing import Final

from caretree.model.errors import FatalError
from caretree.storage.errors import (
    DataDirectoryEmptyError,
    DataDirectoryError,
    DataDirectoryExistsError,
    DataDirectoryInUseError,
    NewerReleaseError,
    StorageLostError,
)
from caretree.storage.files import disk_errors, fsync_directory, read_file, write_file
from caretree.storage.leveldb import LevelDbStore
from caretree.storage.row_cipher import RowCipher
from caretree.storage.watermark import WatermarkFile

DIRECTORY_VERSION: Final = 1
DIRECTORY_SUITE: Final = 1
_VERSION_TEXT: Final = "caretree data directory\nformat {}\nsuite {}\n"
_VERSION_LINES: Final = re.compile(
    rb"caretree data directory\nformat ([1-9]\d{0,8})\nsuite ([1-9]\d{0,8})\n"
)


class DirectoryState(Enum):
    """What is found at the path of a data directory."""

    EMPTY = "empty"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"


class DataDirectory:
    """A locked data directory of the known format."""

    __slots__ = ("_lock", "_path")

    def __init__(self, path: Path, lock: int) -> None:
        self._path = path
        self._lock: int | None = lock

    @classmethod
    def create(cls, path: Path, *, cipher: RowCipher) -> "DataDirectory":
        """A new data directory with an empty database and a watermark of nothing shown.

        Raises:
            DataDirectoryInUseError: another process holds it.
            DataDirectoryExistsError: there is one at this path, whole or in part.
            StorageError: the disk refused.
        """
        with disk_errors("creation", f"data directory {path}"):
            if not path.exists():
                path.mkdir(mode=0o700)
                fsync_directory(path.parent)
        directory = cls(path, _locked(path))
        try:
            directory._fill(cipher)
        except FatalError:
            directory.close()
            raise
        return directory

    @classmethod
    def open(cls, path: Path) -> "DataDirectory":
        """The data directory at `path`.

        Raises:
            DataDirectoryInUseError: another process holds it.
            DataDirectoryEmptyError: there is none.
            StorageLostError: something that must be there is missing.
            NewerReleaseError: a newer release made it.
            DataDirectoryError: its VERSION file is damaged.
            StorageError: the disk refused.
        """
        if not path.is_dir():
            raise DataDirectoryEmptyError(path)
        directory = cls(path, _locked(path))
        try:
            directory._verify()
        except FatalError:
            directory.close()
            raise
        return directory

    @property
    def path(self) -> Path:
        """Where the directory lies."""
        return self._path

    @property
    def database_path(self) -> Path:
        """Where LevelDB keeps its files."""
        return _database(self._path)

    @property
    def watermark_path(self) -> Path:
        """Where the watermark file lies."""
        return _watermark(self._path)

    def close(self) -> None:
        """Let others in; a second close does nothing."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _fill(self, cipher: RowCipher) -> None:
        if inspect_directory(self._path) is not DirectoryState.EMPTY:
            raise DataDirectoryExistsError(self._path)
        LevelDbStore.create(self.database_path, cipher=cipher).close()
        WatermarkFile.create(self.watermark_path).close()
        version = _VERSION_TEXT.format(DIRECTORY_VERSION, DIRECTORY_SUITE).encode("ascii")
        write_file(_version(self._path), version, mode=0o600)

    def _verify(self) -> None:
        match inspect_directory(self._path):
            case DirectoryState.EMPTY:
                raise DataDirectoryEmptyError(self._path)
            case DirectoryState.INCOMPLETE:
                missing = ", ".join(part.name for part in _parts(self._path) if not part.exists())
                raise StorageLostError(f"data directory {self._path} is incomplete: no {missing}")
            case DirectoryState.COMPLETE:
                self._verify_version()

    def _verify_version(self) -> None:
        found = _VERSION_LINES.fullmatch(read_file(_version(self._path)) or b"")
        if found is None:
            raise DataDirectoryError(self._path, "its VERSION file is damaged")
        if int(found[1]) > DIRECTORY_VERSION or int(found[2]) > DIRECTORY_SUITE:
            raise NewerReleaseError(
                f"data directory {self._path}", found=int(found[1]), known=DIRECTORY_VERSION
            )


def inspect_directory(path: Path) -> DirectoryState:
    """What is found at `path`, without changing or locking anything."""
    found = [part.exists() for part in _parts(path)]
    if all(found):
        return DirectoryState.COMPLETE
    return DirectoryState.INCOMPLETE if any(found) else DirectoryState.EMPTY


def _locked(path: Path) -> int:
    # LevelDB locks its own files too, but the watermark must be safe before LevelDB is opened.
    with disk_errors("locking", f"data directory {path}"):
        lock = os.open(path / "LOCK", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise DataDirectoryInUseError(path) from None
    return lock


def _parts(path: Path) -> tuple[Path, Path, Path]:
    return _version(path), _database(path), _watermark(path)


def _version(path: Path) -> Path:
    return path / "VERSION"


def _database(path: Path) -> Path:
    return path / "database"


def _watermark(path: Path) -> Path:
    return path / "watermark"
