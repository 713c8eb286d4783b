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
_LINE: Final = re.compile(rb"([0-9a-f]{32}) [0-9a-f]{32}\n")
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
        try:
            self._file = _open(path)
        except OSError as error:
            raise _refused(path, error) from error
        try:
            self._acknowledged = self._resume(f"{_TITLE} {origin}\n".encode())
        except OSError as error:
            self._file.close()
            raise _refused(path, error) from error
        except CommandError:
            self._file.close()
            raise

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

    def _resume(self, title: bytes) -> set[DocumentDigest]:
        """What the file says was acknowledged; the next line begins behind its last whole one."""
        content = self._file.read()
        if content and not content.startswith(title):
            raise CommandError(
                f"{self._path} is no import journal of {title.split()[-1].decode()}",
                next_step="Name another with --journal, or move that one away.",
            )
        self._file.truncate(content.rfind(b"\n") + 1)
        self._file.seek(0, os.SEEK_END)
        if not content:
            self._file.write(title)
        return _acknowledged(content[len(title) :])


def _open(path: Path) -> IO[bytes]:
    """The journal's file, made for its owner alone where it is not there; nothing is buffered."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return os.fdopen(descriptor, "r+b", buffering=0)


def _acknowledged(lines: bytes) -> set[DocumentDigest]:
    found = (_LINE.fullmatch(line) for line in lines.splitlines(keepends=True))
    return {DocumentDigest(line[1].decode()) for line in found if line is not None}


def _refused(path: Path, error: OSError) -> CommandError:
    return CommandError(
        f"the journal {path} cannot be used: {error.strerror}",
        next_step="Name another with --journal.",
    )
