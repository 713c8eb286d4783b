"""`caretree append`, `history` and `get`: records go in, and are read."""

import base64
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from caretree.cli.acting import (
    FROM_INPUT,
    ActingRole,
    ClientFile,
    PatientOption,
    Person,
    PurposeOption,
    acting_as,
    read_id,
    read_patient,
)
from caretree.cli.errors import CommandError
from caretree.cli.files import read_named, refuse_existing, write_new
from caretree.cli.home import make_directory
from caretree.cli.options import Json
from caretree.cli.output import JsonValue, Output, short_time
from caretree.cli.roles import PurposeName, ReasonName
from caretree.cli.session import call
from caretree.client.client import CaretreeClient
from caretree.client.values import HistoryRecord, NewRecord
from caretree.intake.split import MEDIA_TYPE
from caretree.ledger.receipt_text import utc_text
from caretree.ledger.values import Replaces
from caretree.model.ids import RecordId, RequestId
from caretree.model.limits import CONTENT_BYTES_MAX, PAGE_SIZE_MAX
from caretree.storage.files import write_secret_file

PRIVATE_MODE: Final = 0o600
HISTORY_LIMIT: Final = 1000


def append(
    *,
    file: Annotated[
        str, typer.Argument(help="The record's content; - reads the standard input.")
    ] = FROM_INPUT,
    patient: PatientOption,
    client: ClientFile,
    person: Person = None,
    role: ActingRole = None,
    media_type: Annotated[str, typer.Option(help="What the content is.")] = MEDIA_TYPE,
    request_id: Annotated[
        str | None,
        typer.Option(help="32 hex digits; the same again adds nothing. Drawn when not given."),
    ] = None,
    replaces: Annotated[
        str | None, typer.Option(help="The record whose place this one takes.")
    ] = None,
    reason: Annotated[
        ReasonName | None, typer.Option(help="Why it takes that record's place.")
    ] = None,
    receipt: Annotated[Path | None, typer.Option(help="Where to put the receipt.")] = None,
    as_json: Json = False,
) -> None:
    """Add one record."""
    if patient == FROM_INPUT and file == FROM_INPUT:
        raise CommandError(
            "patient and content cannot both come from the input", next_step="Name a file."
        )
    if receipt is not None:
        refuse_existing(receipt)
    record = NewRecord(
        patient=read_patient(patient),
        content=_content(file),
        media_type=media_type,
        acting=acting_as(person, role),
        request_id=None if request_id is None else RequestId(read_id(request_id, what="request")),
        replaces=_replaces(replaces, reason),
    )
    appended = call(client, lambda peer: peer.append(record))
    if receipt is not None and appended.receipt_file:
        write_new(receipt, appended.receipt_file, mode=PRIVATE_MODE)
    position = appended.entry.position
    status = appended.status.name.lower()
    again = "it was there already" if appended.already_added else "new"
    Output(as_json=as_json).fields(
        f"Record {appended.record_id.hex()} is {status}",
        [
            ("Record", appended.record_id.hex()),
            ("Where", f"leaf {position.leaf_index}, block {position.height}"),
            ("Added", again),
            *([("Receipt", str(receipt))] if receipt is not None and appended.receipt_file else []),
        ],
        data={
            "record_id": appended.record_id.hex(),
            "status": status,
            "already_added": appended.already_added,
            "height": position.height,
            "place": position.place,
            "leaf_index": position.leaf_index,
            "receipt": None if receipt is None or not appended.receipt_file else str(receipt),
        },
    )


def history(
    *,
    patient: PatientOption,
    client: ClientFile,
    person: Person = None,
    role: ActingRole = None,
    purpose: PurposeOption = PurposeName.TREATMENT,
    limit: Annotated[
        int, typer.Option(min=1, max=HISTORY_LIMIT, help="At most so many records.")
    ] = PAGE_SIZE_MAX,
    out: Annotated[
        Path | None, typer.Option(help="A folder for the contents of the open records.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Read a patient's history."""
    named, acting = read_patient(patient), acting_as(person, role)

    async def read(peer: CaretreeClient) -> list[HistoryRecord]:
        records: list[HistoryRecord] = []
        pages = peer.history(
            named, acting=acting, purpose=purpose.purpose(), page_size=min(limit, PAGE_SIZE_MAX)
        )
        async for page in pages:
            records += page.records
            if len(records) >= limit:
                break
        return records[:limit]

    records = call(client, read)
    if out is not None:
        _write_contents(out, records)
    Output(as_json=as_json).table(
        f"{len(records)} records",
        ("Added (UTC)", "Custodian", "Record", "Type", "Content"),
        [_row(record) for record in records],
        data={"records": [record_as_json(record) for record in records]},
    )


def get(
    *,
    record: Annotated[str, typer.Argument(help="The record's id.")],
    client: ClientFile,
    person: Person = None,
    role: ActingRole = None,
    purpose: PurposeOption = PurposeName.TREATMENT,
    out: Annotated[
        Path | None, typer.Option(help="Where to put the content; else it is printed.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Read one record."""
    record_id = RecordId(read_id(record, what="record"))
    if out is not None:
        refuse_existing(out)
    found = call(
        client,
        lambda peer: peer.get_record(
            record_id, acting=acting_as(person, role), purpose=purpose.purpose()
        ),
    )
    if found.erased:
        raise CommandError(
            "the record's content was erased", next_step="Nothing can bring it back."
        )
    if out is not None:
        write_new(out, found.content, mode=PRIVATE_MODE)
    output = Output(as_json=as_json)
    if out is None and not as_json:
        output.raw(found.content)
        return
    output.fields(
        f"Record {record_id.hex()}",
        [
            ("Custodian", found.custodian),
            ("Added", utc_text(found.time_ms)),
            ("Type", found.media_type),
            ("File", str(out)),
        ],
        data=record_as_json(found),
    )


def record_as_json(record: HistoryRecord) -> dict[str, JsonValue]:
    """A record for a program: the content as text when it is UTF-8, else in base64."""
    if record.closed:
        return {"custodian": record.custodian, "time_ms": record.time_ms, "closed": True}
    found: dict[str, JsonValue] = {
        "record_id": _hex(record.record_id),
        "custodian": record.custodian,
        "time_ms": record.time_ms,
        "closed": False,
        "erased": record.erased,
        "media_type": record.media_type,
        "document_id": record.document_id.hex(),
        "part": record.part,
        "replaced_by": None if record.replaced_by is None else _hex(record.replaced_by),
    }
    try:
        found["content"] = record.content.decode()
    except UnicodeDecodeError:
        found["content_base64"] = base64.b64encode(record.content).decode()
    return found


def _row(record: HistoryRecord) -> tuple[str, ...]:
    if record.closed:
        return short_time(record.time_ms), record.custodian, "", "", "closed to you"
    content = "erased" if record.erased else f"{len(record.content)} bytes"
    if record.replaced_by is not None:
        content += ", replaced"
    return (
        short_time(record.time_ms),
        record.custodian,
        _hex(record.record_id),
        record.media_type,
        content,
    )


def _write_contents(folder: Path, records: Sequence[HistoryRecord]) -> None:
    make_directory(folder)
    for record in records:
        if not record.closed and not record.erased:
            write_secret_file(folder / _hex(record.record_id), record.content)


def _content(file: str) -> bytes:
    if file != FROM_INPUT:
        return read_named(Path(file), bytes_max=CONTENT_BYTES_MAX)
    content = sys.stdin.buffer.read(CONTENT_BYTES_MAX + 1)
    if len(content) > CONTENT_BYTES_MAX:
        raise CommandError(
            f"the content is larger than {CONTENT_BYTES_MAX} bytes",
            next_step="Add it as several records.",
        )
    return content


def _replaces(record: str | None, reason: ReasonName | None) -> Replaces | None:
    if (record is None) != (reason is None):
        raise CommandError(
            "--replaces and --reason belong together", next_step="Give both, or neither."
        )
    if record is None or reason is None:
        return None
    return Replaces(record_id=RecordId(read_id(record, what="record")), reason=reason.reason())


def _hex(record_id: RecordId | None) -> str:
    return "" if record_id is None else record_id.hex()
