"""Files that a person names: read whole within bounds, and never written over."""

from pathlib import Path
from typing import Final

from caretree.cli.errors import CommandError
from caretree.model.limits import MIB
from caretree.storage.files import write_file

FILE_BYTES_MAX: Final = 4 * MIB
PUBLIC_MODE: Final = 0o644


def read_named(path: Path, *, bytes_max: int = FILE_BYTES_MAX) -> bytes:
    """The content of a file that the command line names.

    Raises:
        CommandError: it cannot be read, or is larger than such a file can be.
    """
    try:
        with path.open("rb") as file:
            content = file.read(bytes_max + 1)
    except OSError as error:
        raise CommandError(
            f"{path} cannot be read: {error.strerror}", next_step="Check the path and its mode."
        ) from error
    if len(content) > bytes_max:
        raise CommandError(
            f"{path} is larger than {bytes_max} bytes", next_step="Check that it is the right file."
        )
    return content


def write_new(path: Path, content: bytes, *, mode: int) -> None:
    """Put `content` at a path where nothing is yet.

    Raises:
        CommandError: something is there, or there is no such folder.
        StorageError: the disk refused.
    """
    refuse_existing(path)
    if not path.absolute().parent.is_dir():
        raise CommandError(
            f"{path.parent} is no folder", next_step="Make it first, or name another file."
        )
    write_file(path.absolute(), content, mode=mode)


def refuse_existing(path: Path) -> None:
    """Return when nothing is at the path yet.

    Raises:
        CommandError: something is.
    """
    if path.exists():
        raise CommandError(
            f"{path} exists already", next_step="Name another file, or move that one away."
        )
