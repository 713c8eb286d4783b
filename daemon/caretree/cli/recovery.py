"""`caretree member restore` and `open-records`: a member comes back on an empty machine.

What is restored opens what was written and signs nothing: a kit holds no peer's keys.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from caretree.cli.asking import ask_code, ask_person
from caretree.cli.certificates import load_authority
from caretree.cli.errors import CommandError
from caretree.cli.files import read_named
from caretree.cli.home import OPEN_MODE, Home, make_directory, read_hash
from caretree.cli.opening import FoundRecord, MemberRecords
from caretree.cli.options import Directory, Json
from caretree.cli.output import JsonValue, Output, short_time
from caretree.cli.unsealing import with_pseudonym_key
from caretree.crypto.custody import SystemCustody
from caretree.crypto.keystore import Keystore
from caretree.crypto.kit import KIT_CHARACTERS_MAX, RecoveryKit, decode_kit
from caretree.ledger.armour import ARMOUR_BYTES_MAX
from caretree.ledger.ceremony import check_founded
from caretree.ledger.certificate import policy_text
from caretree.ledger.genesis import Genesis
from caretree.ledger.invitations import CeremonyError
from caretree.ledger.members import Member
from caretree.model.errors import RejectedError
from caretree.storage.directory import DataDirectory
from caretree.storage.files import write_file, write_secret_file
from caretree.storage.leveldb import LevelDbStore
from caretree.storage.row_cipher import RowCipher


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedRecord:
    """What became of a record: a file, or the reason why there is none."""

    record: FoundRecord
    content_bytes: int
    file: Path | None
    problem: str


def restore(
    *,
    kit: Annotated[Path, typer.Argument(help="The recovery kit; its code is asked for.")],
    genesis: Annotated[Path, typer.Option(help="The founded genesis, from any member.")],
    expected_hash: Annotated[
        str, typer.Option("--hash", help="Its hash, from somebody you trust.")
    ],
    directory: Annotated[Path, typer.Option(help="A new directory for what is restored.")],
    as_json: Json = False,
) -> None:
    """Restore a member's keys from its recovery kit. No peer's keys are in it."""
    home = Home(path=directory)
    if home.path.exists():
        home.make()  # refuses now what it would refuse after the code was typed
    expected = read_hash(expected_hash)
    founded = read_named(genesis, bytes_max=ARMOUR_BYTES_MAX)
    rules = check_founded(founded, expected_hash=expected)
    text = read_named(kit, bytes_max=KIT_CHARACTERS_MAX).decode(errors="replace")
    restored = decode_kit(text, code=ask_code("Recovery code", ask_person))
    member = _member_of(rules, restored)
    certificate = x509.load_der_x509_certificate(member.ca_certificate)
    load_authority(certificate=certificate, key_pem=restored.ca_key_pem)
    keystore = with_pseudonym_key(rules, _keystore(restored))
    home.make()
    home.write_keystore(keystore)
    write_secret_file(home.ca_key, restored.ca_key_pem)
    write_file(home.ca_certificate, certificate.public_bytes(Encoding.PEM), mode=OPEN_MODE)
    write_file(home.policy, policy_text(rules).encode(), mode=OPEN_MODE)
    home.write_founded(founded, expected)
    Output(as_json=as_json).fields(
        f"{restored.member} of {rules.origin} is restored",
        [
            ("Directory", str(home.path)),
            ("Next", "`caretree member open-records` opens a copied data directory"),
        ],
        data={
            "member": str(restored.member),
            "origin": rules.origin,
            "directory": str(home.path),
        },
    )


def open_records(
    *,
    directory: Directory,
    data: Annotated[
        Path, typer.Option(help="A copy of the member's data directory; the copy is written to.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Where to put each record's content; else only a list.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Open this member's own records in a copied data directory, without any peer."""
    home = Home(path=directory)
    genesis, keystore, custody = home.read_genesis(), home.read_keystore(), SystemCustody()
    if out is not None:
        make_directory(out)
    cipher = RowCipher(keystore.storage_key, random=custody)
    with (
        closing(DataDirectory.open(data)) as found,
        closing(LevelDbStore.open(found.database_path, cipher=cipher)) as store,
    ):
        records = MemberRecords(store, genesis=genesis, keystore=keystore, custody=custody)
        opened = [_open(records, record, out) for record in records.found()]
    _show(Output(as_json=as_json), opened, out)
    if any(item.problem for item in opened):
        raise CommandError(
            "some records did not open", next_step="Try another copy of the data directory."
        )


def _open(records: MemberRecords, record: FoundRecord, out: Path | None) -> OpenedRecord:
    if record.erased:
        return OpenedRecord(record=record, content_bytes=0, file=None, problem="")
    try:
        content = records.content(record)
    except RejectedError as error:
        return OpenedRecord(record=record, content_bytes=0, file=None, problem=error.message)
    file = None
    if out is not None:
        file = out / f"{record.record_id.hex()}{_suffix(record.media_type)}"
        write_secret_file(file, content)
    return OpenedRecord(record=record, content_bytes=len(content), file=file, problem="")


def _show(output: Output, opened: Sequence[OpenedRecord], out: Path | None) -> None:
    rows = [
        (
            item.record.record_id.hex(),
            short_time(item.record.time_ms),
            item.record.media_type,
            item.problem or ("erased" if item.record.erased else f"{item.content_bytes} bytes"),
        )
        for item in opened
    ]
    output.table(
        f"{len(opened)} records of this member" + ("" if out is None else f", in {out}"),
        ("Record", "Added (UTC)", "Type", "Content"),
        rows,
        data={"records": [_as_json(item) for item in opened]},
    )


def _as_json(item: OpenedRecord) -> dict[str, JsonValue]:
    return {
        "record_id": item.record.record_id.hex(),
        "time_ms": item.record.time_ms,
        "media_type": item.record.media_type,
        "document_id": item.record.document_id.hex(),
        "part": item.record.part,
        "erased": item.record.erased,
        "content_bytes": item.content_bytes,
        "file": None if item.file is None else str(item.file),
        "problem": item.problem,
    }


def _member_of(genesis: Genesis, kit: RecoveryKit) -> Member:
    member = genesis.member(kit.member)
    if member is None or genesis.consortium != kit.consortium:
        raise CeremonyError(f"the genesis does not name {kit.member} of {kit.consortium}")
    if member.member_key != kit.member_key.public_key:
        raise CeremonyError(f"the genesis names another member key of {kit.member} than the kit's")
    return member


def _keystore(kit: RecoveryKit) -> Keystore:
    return Keystore(
        consortium=kit.consortium,
        member=kit.member,
        member_key=kit.member_key,
        sealing_key=kit.sealing_key,
        member_secret=kit.member_secret,
        storage_key=kit.storage_key,
        pseudonym_keys=(),
        peer_keys=None,
    )


def _suffix(media_type: str) -> str:
    return ".json" if media_type.partition(";")[0].strip().endswith("json") else ".bin"
