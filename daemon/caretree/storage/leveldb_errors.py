"""What LevelDB's own messages say of a failure, without the keys that they may quote."""

import os
import re
from pathlib import Path
from typing import Final

from caretree.storage.errors import StorageError
from caretree.storage.files import explained
from caretree.storage.keys import Table

_POINTER: Final = "CURRENT file"
_FILE_KINDS: Final = (
    (re.compile(r"\bCURRENT\b"), _POINTER),
    (re.compile(r"\bMANIFEST-|\bdescriptor\b|\bVersionEdit\b"), "manifest"),
    (re.compile(r"\d+\.(?:ldb|sst)|\b(?:block|sstable)\b"), "table file"),
    (re.compile(r"\d+\.log|\bWriteBatch\b|\blog record\b"), "log file"),
    (re.compile(r"^Corruption: checksum mismatch|\brecord\b"), "log file or manifest"),
)
_FILE_NAME: Final = re.compile(r"\b(?:MANIFEST-\d+|\d+\.(?:ldb|sst|log))\b")
_SYSTEM_REASONS: Final = frozenset(os.strerror(number) for number in range(1, 134))


def storage_error(
    text: str, *, corrupted: bool, operation: str, table: Table | None, path: Path
) -> StorageError:
    """Our error for LevelDB's: which file and the system's reason, never a key or value."""
    kinds = (kind for pattern, kind in _FILE_KINDS if pattern.search(text))
    file = next(kinds, "a file")
    # A damaged CURRENT names a manifest that never was.
    if file != _POINTER and (name := _FILE_NAME.search(text)) is not None:
        file = f"{file} {name[0]}"
    system_reason = text.rpartition(": ")[2]
    if corrupted:
        reason = f"{file} is damaged"
    elif system_reason in _SYSTEM_REASONS:
        reason = f"{file}: {explained(system_reason)}"
    else:
        reason = f"{file} could not be used"
    subject = f"database {path}" if table is None else f"table {table.name} of database {path}"
    return StorageError(operation=operation, subject=subject, reason=reason)


def message_of(error: Exception) -> str:
    """LevelDB's message, which plyvel hands on as bytes."""
    message = error.args[0] if error.args else b""
    return message.decode(errors="replace") if isinstance(message, bytes) else str(message)
