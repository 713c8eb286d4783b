"""The files of a folder, and for each a line without patient data that says what became of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from caretree.intake.bundle import check_bundle_size
from caretree.intake.errors import NoPatientError
from caretree.intake.split import SplitBundle
from caretree.model.errors import RejectedError

REFUSALS_SHOWN_MAX = 5


class FileStatus(Enum):
    """What became of a file."""

    TAKEN = "taken"
    PARTLY = "partly taken"
    SKIPPED = "skipped"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFile:
    """A file to import: its path, and its name relative to the folder that was asked for."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOutcome:
    """A row of the import's report. The reason is empty when all of the file was taken."""

    name: str
    status: FileStatus
    reason: str


def bundle_files(path: Path) -> Iterator[BundleFile]:
    """The JSON files below a folder, by name, hidden ones left out; or the one file itself."""
    if path.is_file():
        yield BundleFile(name=path.name, path=path)
        return
    for file in sorted(path.rglob("*.[jJ][sS][oO][nN]")):
        relative = file.relative_to(path)
        hidden = any(part.startswith(".") for part in relative.parts)
        if file.is_file() and not hidden:
            yield BundleFile(name=relative.as_posix(), path=file)


def read_bundle_file(file: BundleFile) -> bytes:
    """The file's bytes, once its size says that it may be read.

    Raises:
        OversizeError: it is larger than BUNDLE_BYTES_MAX.
        OSError: the disk says no.
    """
    check_bundle_size(file.path.stat().st_size)
    return file.path.read_bytes()


def file_outcome(name: str, result: SplitBundle | RejectedError) -> FileOutcome:
    """The report's row for what `split_bundle` returned or raised."""
    if isinstance(result, NoPatientError):
        return FileOutcome(name=name, status=FileStatus.SKIPPED, reason=result.message)
    if isinstance(result, RejectedError):
        return FileOutcome(name=name, status=FileStatus.REFUSED, reason=result.message)
    if not result.refused:
        return FileOutcome(name=name, status=FileStatus.TAKEN, reason="")
    shown = [refused.reason() for refused in result.refused[:REFUSALS_SHOWN_MAX]]
    left_out = len(result.refused) - len(shown)
    reason = "; ".join([*shown, *([f"and {left_out} more"] if left_out else [])])
    return FileOutcome(name=name, status=FileStatus.PARTLY, reason=reason)
