"""`caretree import`: FHIR bundles become records."""

import asyncio
import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from caretree.cli.acting import ActingRole, OptionalClientFile, Person, acting_as
from caretree.cli.errors import CommandError
from caretree.cli.failures import advice, reason_of, why
from caretree.cli.importing import Added, DocumentRefusedError, Import, Progress, Reading
from caretree.cli.journal import Journal, journal_beside
from caretree.cli.options import Json
from caretree.cli.output import JsonValue, Output
from caretree.cli.session import read_settings
from caretree.client.client import CaretreeClient
from caretree.client.errors import CallFailedError
from caretree.client.settings import ClientSettings
from caretree.client.values import ActingPerson, NewRecord, Source
from caretree.crypto.pseudonym import PatientIdentifier
from caretree.crypto.resident_number import RESIDENT_NUMBER_SYSTEM
from caretree.intake.files import BundleFile, FileOutcome, FileStatus, bundle_files
from caretree.intake.split import Document
from caretree.model.reasons import Reason
from caretree.storage.files import write_file

# A record waits through elections and restarts of peers, but not for ever.
RECORD_S: Final = 300.0
OUTCOMES_SHOWN_MAX: Final = 20
REPORT_MODE: Final = 0o600  # names of files may be names of people
# What is wrong with one record says nothing about the next.
_OF_ONE_RECORD: Final = frozenset(
    {Reason.INVALID_FIELD, Reason.CONTENT_TOO_LARGE, Reason.REQUEST_ID_REUSED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSink:
    """Documents to the member's own peer, in the name of whom the caller acts for."""

    client: CaretreeClient
    acting: ActingPerson | None

    async def add(self, patient: PatientIdentifier, document: Document) -> Added:
        """See importing.Sink."""
        record = NewRecord(
            patient=patient,
            content=document.content,
            media_type=document.media_type,
            acting=self.acting,
            source=Source(system=document.source_system, id=document.source_id, part=document.part),
        )
        try:
            appended = await self.client.append(record, deadline_s=RECORD_S)
        except CallFailedError as error:
            if error.reason in _OF_ONE_RECORD:
                raise DocumentRefusedError(f"{reason_of(error)}: {why(error)}") from error
            raise
        return Added(record_id=appended.record_id, already=appended.already_added)


def import_records(
    *,
    path: Annotated[Path, typer.Argument(help="A bundle, or a folder of bundles.")],
    client: OptionalClientFile = None,
    person: Person = None,
    role: ActingRole = None,
    identifier_system: Annotated[
        list[str] | None,
        typer.Option(
            help="By which of the patient's identifiers to file, the preferred one first; the"
            " resident identity number when not given."
        ),
    ] = None,
    source_system: Annotated[
        str | None, typer.Option(help="The system that the documents' ids belong to.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="What the files are in, when it is not UTF-8.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and report, but send nothing.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Where to put a CSV of every file and its reason.")
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(help="The journal; else beside what is imported.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Import FHIR R4 bundles."""
    files = _files(path)
    reading = Reading(
        identifier_systems=tuple(identifier_system or [RESIDENT_NUMBER_SYSTEM]),
        source_system=source_system,
        encoding=encoding,
    )
    output = Output(as_json=as_json)
    with _bar(output, len(files)) as on_progress:
        whole = Import(reading=reading, sink=None, journal=None, on_progress=on_progress)
        try:
            if dry_run:
                asyncio.run(whole.run(files))
            else:
                settings, acting = read_settings(_named(client)), acting_as(person, role)
                with Journal(journal or journal_beside(path), origin=settings.origin) as opened:
                    whole.journal = opened
                    asyncio.run(_send(whole, files, settings, acting))
        finally:
            if report is not None:
                _write_report(report, whole.outcomes)
    _show(output, whole, dry_run=dry_run)


async def _send(
    whole: Import,
    files: Sequence[BundleFile],
    settings: ClientSettings,
    acting: ActingPerson | None,
) -> None:
    try:
        async with CaretreeClient.connect(settings) as client:
            whole.sink = PeerSink(client=client, acting=acting)
            await whole.run(files)
    except CallFailedError as error:
        progress = whole.progress
        raise CommandError(
            f"stopped with {progress.added + progress.already} records acknowledged: {why(error)}",
            next_step=f"{advice(error)} Then run the same command again: it goes on from there.",
        ) from error


def _files(path: Path) -> list[BundleFile]:
    if not path.exists():
        raise CommandError(f"{path} is not there", next_step="Check the path.")
    files = list(bundle_files(path))
    if not files:
        raise CommandError(
            f"{path} holds no file that ends in .json", next_step="Name a folder of FHIR bundles."
        )
    return files


def _named(client: Path | None) -> Path:
    if client is None:
        raise CommandError(
            "no client file is named", next_step="Give --client, or --dry-run to send nothing."
        )
    return client


@contextmanager
def _bar(output: Output, files: int) -> Iterator[Callable[[Progress], None]]:
    """What tells a person at a terminal how far the import is; nobody else is told."""
    if output.as_json or not output.notes.is_terminal:
        yield _tell_nobody
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files, {task.fields[records]} records"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=output.notes, transient=True) as bar:
        task = bar.add_task("Importing", total=files, records=0)
        yield lambda progress: bar.update(
            task, completed=progress.files, records=progress.added + progress.already
        )


def _tell_nobody(_progress: Progress) -> None:
    return


def _write_report(path: Path, outcomes: Sequence[FileOutcome]) -> None:
    """A row for each file, by name. Reasons bear no patient data."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(("file", "status", "reason"))
    for outcome in sorted(outcomes, key=lambda each: each.name):
        rows.writerow((outcome.name, outcome.status.value, outcome.reason))
    write_file(path.absolute(), text.getvalue().encode(), mode=REPORT_MODE)


def _show(output: Output, whole: Import, *, dry_run: bool) -> None:
    progress, counts = whole.progress, Counter(outcome.status for outcome in whole.outcomes)
    output.fields(
        _headline(progress, dry_run=dry_run),
        [
            *((f"Files {status.value}", str(counts[status])) for status in FileStatus),
            ("Records found", str(progress.records)),
            ("Records added", str(progress.added)),
            ("There already", str(progress.already)),
            ("Refused by the peer", str(progress.refused)),
        ],
        data=_as_json(whole, counts, dry_run=dry_run),
    )
    open_cases = sorted(
        (each for each in whole.outcomes if each.status is not FileStatus.TAKEN),
        key=lambda each: each.name,
    )
    if open_cases:
        shown = open_cases[:OUTCOMES_SHOWN_MAX]
        output.table(
            f"{len(shown)} of {len(open_cases)} files that were not taken whole",
            ("File", "Status", "Reason"),
            [(each.name, each.status.value, each.reason) for each in shown],
            data=None,
        )
    if counts[FileStatus.REFUSED] + counts[FileStatus.PARTLY]:
        raise CommandError(
            f"{counts[FileStatus.REFUSED] + counts[FileStatus.PARTLY]} files were not taken whole",
            next_step="--report FILE lists them all, with reasons.",
        )


def _headline(progress: Progress, *, dry_run: bool) -> str:
    if dry_run:
        return f"{progress.records} records would be sent"
    if not progress.added and progress.already:
        return f"Nothing was added: {progress.already} records were there already"
    return f"{progress.added} records added"


def _as_json(
    whole: Import, counts: Mapping[FileStatus, int], *, dry_run: bool
) -> dict[str, JsonValue]:
    progress = whole.progress
    return {
        "dry_run": dry_run,
        "files": {status.name.lower(): counts[status] for status in FileStatus},
        "records": progress.records,
        "added": progress.added,
        "already": progress.already,
        "refused": progress.refused,
        "not_taken_whole": [
            {"file": each.name, "status": each.status.name.lower(), "reason": each.reason}
            for each in whole.outcomes
            if each.status is not FileStatus.TAKEN
        ],
    }
