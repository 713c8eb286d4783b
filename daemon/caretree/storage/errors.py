"""Why a store cannot be used: all are fatal, and only the next start finds what is still there."""

from pathlib import Path

from caretree.model.errors import FatalError


class StorageError(FatalError):
    """A read or write of the disk failed: what it holds is unknown until the next start.

    Carries what was done to what, and a reason without any key or value.
    """

    def __init__(self, *, operation: str, subject: str, reason: str) -> None:
        super().__init__(f"storage: {operation} of {subject} failed: {reason}")
        self.operation = operation
        self.subject = subject
        self.reason = reason


class StorageClosedError(StorageError):
    """The store was closed before this call."""

    def __init__(self, *, operation: str) -> None:
        super().__init__(operation=operation, subject="the store", reason="it is closed")


class StorageLostError(FatalError):
    """The disk no longer holds all that this peer has shown to others (ARCHITECTURE section 8).

    Such a peer never votes or signs again under its identity.
    """

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}: this peer has lost its storage and may not vote or sign again under this"
            " identity; give the machine a new data directory with new peer keys"
        )
        self.what = what


class StorageKeyError(FatalError):
    """The storage key is not the one that this database was created with."""

    def __init__(self) -> None:
        super().__init__(
            "the storage key in the keystore is not the one this database was created with:"
            " the keystore and the data directory do not belong together"
        )


class NewerReleaseError(FatalError):
    """A newer release wrote this. Carries the version found and the newest known."""

    def __init__(self, subject: str, *, found: int, known: int) -> None:
        super().__init__(
            f"{subject} has format version {found}, and this release knows up to {known}:"
            " start the release that wrote it, or a newer one"
        )
        self.found = found
        self.known = known


class DataDirectoryError(FatalError):
    """A data directory is not in the state that the command needs. Carries its path."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"data directory {path}: {what}")
        self.path = path


class DataDirectoryInUseError(DataDirectoryError):
    """Another process holds the data directory."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "in use by another process")


class DataDirectoryExistsError(DataDirectoryError):
    """A data directory was to be created where one is."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, "already holds a peer's data; a configuration never begins an existing one anew"
        )


class DataDirectoryEmptyError(DataDirectoryError):
    """A data directory was to be opened where none is."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "holds no peer's data yet; it has to be created first")


class DiskSpaceError(FatalError):
    """Too little space to start with. Carries both amounts in bytes."""

    def __init__(self, path: Path, *, free: int, needed: int) -> None:
        super().__init__(
            f"{path} has {free} bytes free and {needed} are needed to start: make room first"
        )
        self.free = free
        self.needed = needed


class SecretFileError(FatalError):
    """A file of secrets may be read by others than its owner. Carries its path and mode."""

    def __init__(self, path: Path, *, mode: int) -> None:
        super().__init__(
            f"{path} has mode {mode:04o}, so others than its owner may read it: chmod 600 it,"
            " and replace its keys if anybody could have"
        )
        self.path = path
        self.mode = mode
