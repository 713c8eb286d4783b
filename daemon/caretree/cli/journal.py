"""The import's journal: what a peer has acknowledged, so that a stopped import goes on from there.

    caretree import journal v1 <origin>
    <document, 32 hex digits> <record id, 32 hex digits>

A document is known by a digest over its content and all that names it, so a file that was changed
is sent again. A line tells nothing about a patient to who does not hold the very content. The
journal saves time and is no proof: without it, the peer finds by itself what it has already.
"""

import hashlib
import os
import re
from pathlib import Path
from types import TracebackType
from typing import IO, Final, NewType, Self

from caretree.cli.errors import CommandError
from caretree.crypto.framing import length_prefixed, u32
from caretree.crypto.pseudonym import PatientIdentifier
from caretree.intake.split import Document
from caretree.model.ids import RecordId

DocumentDigest = NewType("DocumentDigest", str)

_TITLE: Final = "caretree import journal v1"
_LINE: Final = re.compile(r"([0-9a-f]{32}) ([0-9a-f]{32})\n")
_DIGEST_BYTES: Final = 16


def digest_of(patient: PatientIdentifier, document: Document) -> DocumentDigest:
    """What the journal calls a document."""
    named = length_prefixed(
        patient.system.encode(),
        patient.value.encode(),
        document.source_system.encode(),
        document.source_id.encode(),
        u32(document.part),
        document.content,
    )
    return DocumentDigest(hashlib.sha256(named).digest()[:_DIGEST_BYTES].hex())


def journal_beside(path: Path) -> Path:
    """Where the journal of importing `path` is kept when nobody says otherwise."""
    whole = path.absolute()
    return whole.with_name(f"{whole.name}.caretree-journal")


class Journal:
    """An open journal of one consortium's log. One task writes at a time."""

    def __init__(self, path: Path, *, origin: str) -> None:
        """Open or begin the journal at `path`.

        Raises:
            CommandError: it cannot be opened, is none, or another consortium's.
        """
        self._path = path
        self._acknowledged = _read(path, origin)
        self._file = _open(path)
        # A line that a crash has cut is none; the next one begins on a line of its own.
        self._file.truncate(self._whole_bytes(origin))
        self._file.seek(0, os.SEEK_END)
        if self._file.tell() == 0:
            self._file.write(_title(origin).encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def __contains__(self, document: DocumentDigest) -> bool:
        return document in self._acknowledged

    def acknowledge(self, document: DocumentDigest, record_id: RecordId) -> None:
        """Note that the peer has the document, as this record.

        Raises:
            CommandError: the disk refused.
        """
        self._acknowledged.add(document)
        try:
            self._file.write(f"{document} {record_id.hex()}\n".encode())
        except OSError as error:
            raise _refused(self._path, error) from error

    def _whole_bytes(self, origin: str) -> int:
        lines = len(self._acknowledged) if self._path.stat().st_size else 0
        return 0


def _title(origin: str) -> str:
    return f"{_TITLE} {origin}\n"
