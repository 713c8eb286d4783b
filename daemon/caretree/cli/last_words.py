"""The daemon's last line: what ended it, and what to do or where the runbook says so."""

from typing import Final

from caretree.cli.errors import CommandError
from caretree.cli.start_files import AddressError
from caretree.config.exit_status import ExitStatus
from caretree.model.errors import FatalError
from caretree.node.certifier import DivergenceError
from caretree.node.startup import SignedRootError
from caretree.raft.errors import LogLostError
from caretree.storage.errors import (
    DataDirectoryError,
    DiskSpaceError,
    NewerReleaseError,
    SecretFileError,
    StorageError,
    StorageKeyError,
    StorageLostError,
)
from caretree.storage.files import DISK_FULL

FULL_DISK: Final = "Full disk"
# The first that fits. An error that is not here says itself what to do.
SECTIONS: Final[tuple[tuple[type[Exception], str | None], ...]] = (
    (DiskSpaceError, FULL_DISK),
    (StorageLostError, "Lost storage"),
    (LogLostError, "Lost storage"),
    (StorageError, "Storage error"),
    (DataDirectoryError, "Data directory refused"),
    (NewerReleaseError, "Data directory refused"),
    (StorageKeyError, "Data directory refused"),
    (DivergenceError, "Divergence"),
    (SignedRootError, "Divergence"),
    (SecretFileError, None),
    (FatalError, "Damaged history"),
    (AddressError, "Port taken"),
)


def last_words(error: Exception, status: ExitStatus) -> str:
    """The one line that says why the daemon ended with this status."""
    kind = "fatal" if status is ExitStatus.FATAL else "error"
    noted = "".join(
        f" ({note})" for note in getattr(error, "__notes__", ()) if note not in str(error)
    )
    return f"caretree: {kind}: {error}{noted}{_next_step(error)}"


def _next_step(error: Exception) -> str:
    if isinstance(error, CommandError):
        return f". {error.next_step}"
    section = runbook_section(error)
    return "" if section is None else f". Runbook: {section}"


def runbook_section(error: Exception) -> str | None:
    """The heading in ops/docs/runbook.md under which it is told what to do, or None."""
    if isinstance(error, StorageError) and DISK_FULL in error.reason:
        return FULL_DISK
    return next((section for kind, section in SECTIONS if isinstance(error, kind)), None)
