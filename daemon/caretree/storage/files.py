"""Small files that are whole or not there, files of secrets, and the room left on the disk."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from caretree.model.limits import MIB
from caretree.storage.errors import DiskSpaceError, SecretFileError, StorageError

FILE_BYTES_MAX: Final = 1 * MIB  # keystores and version files are a few KiB
SECRET_MODE: Final = 0o600
_OTHERS: Final = 0o077
DISK_FULL: Final = "the disk is full"
_FULL_REASONS: Final = frozenset(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT))


def write_file(path: Path, content: bytes, *, mode: int) -> None:
    """Put `content` at `path` so that a crash leaves the old file or the new one, never a part.

    Raises:
        StorageError: the disk refused; which of both is there is unknown.
    """
    fresh = path.with_name(f".{path.name}.new")
    with disk_errors("write", str(path)):
        fresh.unlink(missing_ok=True)  # left over by a crash
        # The mode is given at the creation: there is no moment at which others could open the file.
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        try:
            write_whole(descriptor, content, offset=0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        fresh.rename(path)
        fsync_directory(path.parent)


def read_file(path: Path) -> bytes | None:
    """The content of `path`, or None where no file is.

    Raises:
        StorageError: it cannot be read, or is larger than any file written here.
    """
    return _read(path, check=None)


def write_secret_file(path: Path, content: bytes) -> None:
    """Put secrets at `path`, for their owner alone; a crash leaves the old file or the new one.

    Raises:
        StorageError: the disk refused; which of both is there is unknown.
    """
    write_file(path, content, mode=SECRET_MODE)


def read_secret_file(path: Path) -> bytes | None:
    """The secrets at `path`, or None where no file is.

    Raises:
        SecretFileError: the group or others may use the file.
        StorageError: it cannot be read, or is larger than any file written here.
    """

    def check(descriptor: int) -> None:
        # Asked of the open file, not of the path: nobody can swap it in between.
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & _OTHERS:
            raise SecretFileError(path, mode=mode)

    return _read(path, check=check)


def free_bytes(path: Path) -> int:
    """How many bytes the file system of `path` still takes from this user.

    Raises:
        StorageError: the file system does not answer.
    """
    with disk_errors("query", f"the file system of {path}"):
        answer = os.statvfs(path)
        return answer.f_bavail * answer.f_frsize


def require_free_bytes(path: Path, *, needed: int) -> None:
    """Check that a start has room: LevelDB writes already while it opens.

    Raises:
        DiskSpaceError: less than `needed` bytes are free.
        StorageError: the file system does not answer.
    """
    free = free_bytes(path)
    if free < needed:
        raise DiskSpaceError(path, free=free, needed=needed)


def fsync_directory(path: Path) -> None:
    """Make the names in a directory durable; the fsync of a file does not promise its name.

    Raises:
        OSError: the disk refused.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(descriptor: int, content: bytes, *, offset: int) -> None:
    """Write all of `content` at `offset`, as one call when the system takes it.

    Raises:
        OSError: the disk refused.
    """
    rest = memoryview(content)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest = rest[written:]
        offset += written


@contextmanager
def disk_errors(operation: str, subject: str) -> Iterator[None]:
    """A block in which the system's errors become ours.

    Raises:
        StorageError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        reason = explained(error.strerror or type(error).__name__)
        raise StorageError(operation=operation, subject=subject, reason=reason) from error


def explained(system_reason: str) -> str:
    """The system's reason, in words that an operator looks for."""
    return f"{DISK_FULL} ({system_reason})" if system_reason in _FULL_REASONS else system_reason


def _read(path: Path, *, check: Callable[[int], None] | None) -> bytes | None:
    """The content of `path`, or None where no file is; `check` sees the open file first."""
    with disk_errors("read", str(path)):
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            if check is not None:
                check(descriptor)
            return _read_bounded(descriptor, path)
        finally:
            os.close(descriptor)


def _read_bounded(descriptor: int, path: Path) -> bytes:
    size = os.fstat(descriptor).st_size
    if size > FILE_BYTES_MAX:
        raise StorageError(
            operation="read",
            subject=str(path),
            reason=f"it has {size} bytes, and at most {FILE_BYTES_MAX} were expected",
        )
    content = bytearray()
    while part := os.read(descriptor, FILE_BYTES_MAX + 1 - len(content)):
        content += part
    return bytes(content)
