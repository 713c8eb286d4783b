"""The import's engine: files to documents, documents to records, some of them at the same time.

What it stands on: a document's ids at the peer follow from its source, so that a document sent
twice is a record once, and an import may be stopped and begun again at any moment.

1. A file is read and split while the documents before it are on their way.
2. A document that the journal holds is not sent again.
3. What the peer acknowledges is in the journal before the next file is counted as done.
4. A document that the peer refuses is listed in its file's row of the report; anything else that
   goes wrong stops the import.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from caretree.cli.journal import DocumentDigest, Journal, digest_of
from caretree.crypto.pseudonym import PatientIdentifier
from caretree.intake.files import (
    REFUSALS_SHOWN_MAX,
    BundleFile,
    FileOutcome,
    FileStatus,
    file_outcome,
    read_bundle_file,
)
from caretree.intake.split import Document, SplitBundle, split_bundle
from caretree.model.errors import RejectedError
from caretree.model.ids import RecordId
from caretree.model.limits import MIB

RECORDS_UNDER_WAY_MAX: Final = 1024
BYTES_UNDER_WAY_MAX: Final = 16 * MIB


class DocumentRefusedError(RejectedError):
    """The peer refuses one document for good; others may go on. Says why, without patient data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A document is a record at the peer; `already` when it was one before."""

    record_id: RecordId
    already: bool


class Sink(Protocol):
    """Where documents go."""

    async def add(self, patient: PatientIdentifier, document: Document) -> Added:
        """The document added, and acknowledged by the peer.

        Raises:
            DocumentRefusedError: this one is refused.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How files are read."""

    identifier_systems: tuple[str, ...]
    source_system: str | None
    encoding: str | None


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far an import has come, in files and in records."""

    files: int = 0
    records: int = 0  # found in the files so far
    added: int = 0
    already: int = 0  # known to the peer, or in the journal
    refused: int = 0


@dataclass(slots=True, kw_only=True)
class _File:
    """A file whose documents are on their way."""

    outcome: FileOutcome
    records: int
    open: int
    refused: list[str] = field(default_factory=list)

    def final(self) -> FileOutcome:
        """The report's row, with what the peer refused."""
        if not self.refused:
            return self.outcome
        shown = list(dict.fromkeys(self.refused))[:REFUSALS_SHOWN_MAX]
        said = f"{len(self.refused)} of {self.records} records refused: {'; '.join(shown)}"
        whole = len(self.refused) == self.records
        return FileOutcome(
            name=self.outcome.name,
            status=FileStatus.REFUSED if whole else FileStatus.PARTLY,
            reason="; ".join(part for part in (self.outcome.reason, said) if part),
        )


class _Window:
    """How much may be on its way: so many records, so many bytes."""

    def __init__(self) -> None:
        self._records = 0
        self._bytes = 0
        self._left = asyncio.Event()

    async def enter(self, size: int) -> None:
        """Wait until a record of this size fits; one always does when none is on its way."""
        while self._records >= RECORDS_UNDER_WAY_MAX or (
            self._records and self._bytes + size > BYTES_UNDER_WAY_MAX
        ):
            self._left.clear()
            await self._left.wait()
        self._records += 1
        self._bytes += size

    def leave(self, size: int) -> None:
        """Note that a record has arrived."""
        self._records -= 1
        self._bytes -= size
        self._left.set()


@dataclass(slots=True, kw_only=True)
class Import:
    """An import under way, and its result when `run` is done."""

    reading: Reading
    sink: Sink | None  # None: nothing is sent
    journal: Journal | None
    on_progress: Callable[[Progress], None]
    progress: Progress = field(default_factory=Progress)
    outcomes: list[FileOutcome] = field(default_factory=list)
    _window: _Window = field(default_factory=_Window)

    async def run(self, files: Sequence[BundleFile]) -> None:
        """Take every file in; `outcomes` has a row for each when this returns.

        Raises:
            RejectedError, UnavailableError: the import was stopped; what was acknowledged until
                then stays so.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for file in files:
                    taken = await asyncio.to_thread(_read, file, self.reading)
                    if isinstance(taken, FileOutcome):
                        self._file_done(taken)
                    else:
                        await self._send(group, file, taken)
        except ExceptionGroup as stopped:
            raise _first(stopped) from None

    async def _send(self, group: asyncio.TaskGroup, file: BundleFile, split: SplitBundle) -> None:
        """Send a file's documents, as far as the window allows; the last one to end reports."""
        count = len(split.documents)
        waiting = _File(outcome=file_outcome(file.name, split), records=count, open=count)
        self.progress.records += count
        for document in split.documents:
            known = None if self.journal is None else digest_of(split.patient, document)
            if self.sink is None:
                self._document_done(waiting)
            elif known is not None and self.journal is not None and known in self.journal:
                self.progress.already += 1
                self._document_done(waiting)
            else:
                await self._window.enter(len(document.content))
                group.create_task(self._add(self.sink, waiting, split.patient, document, known))

    async def _add(
        self,
        sink: Sink,
        waiting: _File,
        patient: PatientIdentifier,
        document: Document,
        known: DocumentDigest | None,
    ) -> None:
        try:
            added = await sink.add(patient, document)
        except DocumentRefusedError as error:
            self.progress.refused += 1
            waiting.refused.append(error.message)
        else:
            self.progress.added += not added.already
            self.progress.already += added.already
            if known is not None and self.journal is not None:
                self.journal.acknowledge(known, added.record_id)
        finally:
            self._window.leave(len(document.content))
        self._document_done(waiting)

    def _document_done(self, waiting: _File) -> None:
        waiting.open -= 1
        if waiting.open == 0:
            self._file_done(waiting.final())
        else:
            self.on_progress(self.progress)

    def _file_done(self, outcome: FileOutcome) -> None:
        self.outcomes.append(outcome)
        self.progress.files += 1
        self.on_progress(self.progress)


def _read(file: BundleFile, reading: Reading) -> SplitBundle | FileOutcome:
    """The file's documents, or the row of the report that says why there are none."""
    try:
        return split_bundle(
            read_bundle_file(file),
            identifier_systems=reading.identifier_systems,
            source_system=reading.source_system,
            encoding=reading.encoding,
        )
    except RejectedError as error:
        return file_outcome(file.name, error)
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        return FileOutcome(name=file.name, status=FileStatus.REFUSED, reason=reason)


def _first(stopped: ExceptionGroup[Exception]) -> Exception:
    """The first of what stopped the import, out of the groups around it."""
    cause: BaseException = stopped
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    assert isinstance(cause, Exception)
    return cause
