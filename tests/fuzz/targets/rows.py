"""What a peer reads back from its own disk: rows, the watermark, the continuity rows.

It was written by the peer itself, so what does not read as written is fatal, by an error that says
so, and never a fault of some other kind.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from caretree.crypto.suite import DIGEST_BYTES
from caretree.ledger import patient_rows, rows
from caretree.ledger.blocks import encode_block_ref
from caretree.ledger.certificate import certification
from caretree.ledger.values import BlockRef, EntryKind, Outcome, Position
from caretree.model.errors import FatalError
from caretree.model.ids import (
    Digest,
    Height,
    LeafIndex,
    LogIndex,
    PeerId,
    Place,
    Term,
    TimeMs,
    TreeSize,
)
from caretree.node.certified_store import load_certified
from caretree.node.raft_log import StoredLog, decode_row, encode_row
from caretree.raft.messages import Entry, EntryType, HardState
from caretree.storage import watermark as watermarks
from caretree.storage.continuity import BATCH_PREFIX, BatchNumbers
from caretree.storage.errors import NewerReleaseError, StorageLostError
from caretree.storage.keys import Table
from caretree.storage.memory import MemoryStore
from caretree.storage.ports import Batch
from caretree.storage.watermark import NOTHING_SHOWN, PAGE_BYTES, Watermark, find_newest

from tests.fuzz.target import Shape, Target
from tests.ledger import test_rows as samples
from tests.ledger.builders import founders
from tests.ledger.samples import GRANT, NEXT_KEYRING, RECORD, history

T = TypeVar("T")

_RECORD_BYTES: Final = 8 + 2 + 3 * 8 + 32 + 3 * 8 + 32
_RULE: Final = certification(founders().genesis)
_CONTINUITY_BYTES: Final = 16


def _both_ways(
    decode: Callable[[bytes], T], encode: Callable[[T], bytes]
) -> Callable[[bytes], object]:
    """A run that writes what was read and reads it again."""

    def run(data: bytes) -> None:
        value = decode(data)
        assert decode(encode(value)) == value

    return run


def _run_outcomes(data: bytes) -> None:
    assert rows.encode_outcomes(rows.decode_outcomes(data)) == data


def _run_kind(data: bytes) -> None:
    assert rows.encode_kind(rows.decode_kind(data)) == data


def _run_raft_row(data: bytes) -> None:
    entry = decode_row(LogIndex(1), data)
    assert decode_row(LogIndex(1), encode_row(entry)) == entry


def _run_raft_log(data: bytes) -> None:
    """A store whose rows of Raft are these bytes, cut in four by their first two."""
    store = MemoryStore()
    pieces = data.split(b"|", 3)
    places = (
        (Table.RAFT_STATE, b"hard-state"),
        (Table.RAFT_STATE, b"applied"),
        (Table.RAFT_LOG, (1).to_bytes(8, "big")),
    )
    batch = Batch()
    for (table, key), value in zip(places, pieces, strict=False):
        batch.put(table, key, value)
    if len(pieces) > len(places):
        batch.put(Table.RAFT_LOG, pieces[-1], b"row")
    store.write(batch, sync=True)
    log = StoredLog(store, (PeerId(1),))
    log.hard_state()
    log.applied()
    log.last_row()


def _run_watermark(data: bytes) -> None:
    found = find_newest(data)
    assert 0 <= found.damaged_pages <= len(data) // PAGE_BYTES
    for offset, page in found.rewrites:
        assert (offset % PAGE_BYTES, len(page)) == (0, PAGE_BYTES)


def _run_watermark_records(data: bytes) -> None:
    """Two records under good checksums, each in both copies of its slot."""
    records = [data[:_RECORD_BYTES], data[_RECORD_BYTES : 2 * _RECORD_BYTES]]
    pages = [
        (record + hashlib.sha256(record).digest()).ljust(PAGE_BYTES, b"\0") for record in records
    ]
    _run_watermark(b"".join(page[:PAGE_BYTES] * 2 for page in pages))


def _run_certified(data: bytes) -> None:
    store = MemoryStore()
    batch = Batch()
    batch.put(Table.SIGNED, b"newest", data)
    store.write(batch, sync=True)
    load_certified(store, _RULE, samples.head())


def _run_continuity(data: bytes) -> None:
    """The rows of the batches' numbers, each a number as its key and what it names."""
    starts = range(0, len(data), _CONTINUITY_BYTES)
    found = [data[start : start + _CONTINUITY_BYTES] for start in starts]
    BatchNumbers.resume(
        ((BATCH_PREFIX + row[:8], row[8:]) for row in found), write_buffer_bytes=4 * 1024 * 1024
    )


def _watermark(sequence: int) -> bytes:
    shown = Watermark(
        last_index=LogIndex(7),
        last_term=Term(2),
        last_hash=b"h" * DIGEST_BYTES,
        term=Term(3),
        vote=PeerId(9),
        signed_size=TreeSize(11),
        signed_root=b"r" * DIGEST_BYTES,
    )
    return watermarks.encode_page(sequence, shown if sequence else NOTHING_SHOWN)


def _images() -> Iterator[bytes]:
    for older, newer in ((0, 1), (2, 1), (2, 3)):
        even, odd = (older, newer) if older % 2 == 0 else (newer, older)
        yield _watermark(even) * 2 + _watermark(odd) * 2


def _records() -> Iterator[bytes]:
    for image in _images():
        yield image[:_RECORD_BYTES] + image[2 * PAGE_BYTES :][:_RECORD_BYTES]


def _raft_rows() -> Iterator[bytes]:
    ref = BlockRef(height=Height(1), hash=Digest(b"h" * 32))
    for data in (b"", encode_block_ref(ref)):
        yield encode_row(Entry(index=LogIndex(1), term=Term(2), type=EntryType.NORMAL, data=data))


def _raft_stores() -> Iterator[bytes]:
    store = MemoryStore()
    batch = Batch()
    log = StoredLog(store, (PeerId(1),))
    log.stage_hard_state(batch, HardState(term=Term(2), vote=PeerId(1), commit=LogIndex(1)))
    store.write(batch, sync=True)
    hard_state = store.get(Table.RAFT_STATE, b"hard-state") or b""
    for row in _raft_rows():
        yield b"|".join((hard_state, (1).to_bytes(8, "big"), row))


_POSITION: Final = Position(height=Height(3), place=Place(0), leaf_index=LeafIndex(2**40))
_PLACE: Final = rows.BlockPlace(
    block_hash=Digest(b"b" * DIGEST_BYTES),
    first_leaf=LeafIndex(5),
    leaf_count=3,
    time_ms=TimeMs(4),
)
_ANSWER: Final = rows.FirstAnswer(
    position=_POSITION, request_digest=Digest(b"d" * DIGEST_BYTES), record_id=RECORD.record_id
)
_RECORD: Final = rows.RecordPlace(
    position=_POSITION,
    pseudonym_epoch=1,
    pseudonym=RECORD.patient.pseudonym,
    custodian=RECORD.custodian,
)
_HISTORY: Final = patient_rows.HistoryRow(
    record_id=RECORD.record_id,
    custodian=RECORD.custodian,
    keyring_epoch=1,
    time_ms=TimeMs(4),
    height=Height(3),
    place=Place(2),
    replaced_by=RECORD.record_id,
)
_CUSTODIAN: Final = patient_rows.CustodianState(
    custodian=RECORD.custodian, epoch=2, key_id=RECORD.key_id, closed=True, has_records=True
)
_GRANT: Final = patient_rows.GrantState(
    grant_id=GRANT.grant_id,
    custodian=GRANT.custodian,
    grantee=GRANT.grantee,
    keyring_epoch=2,
    key_id=GRANT.key_id,
    sealed_key=GRANT.sealed_key,
    rule=GRANT.rule,
    granted_ms=TimeMs(5),
    revoked_ms=TimeMs(6),
    leaf_index=LeafIndex(9),
)


def _decode_grant(value: bytes) -> patient_rows.GrantState:
    return patient_rows.decode_grant(GRANT.grant_id, value)


TARGETS: Final = (
    Target(
        name="row-of-head",
        run=_both_ways(rows.decode_head, rows.encode_head),
        errors=(rows.DamagedRowError,),
        seeds=lambda: [rows.encode_head(samples.head())],
        covers=(rows.decode_head,),
        shape=Shape.PROTO,
    ),
    Target(
        name="row-of-block-place",
        run=_both_ways(rows.decode_block_place, rows.encode_block_place),
        errors=(rows.DamagedRowError,),
        seeds=lambda: [rows.encode_block_place(_PLACE)],
        covers=(rows.decode_block_place,),
        shape=Shape.PROTO,
    ),
    Target(
        name="row-of-first-answer",
        run=_both_ways(rows.decode_first_answer, rows.encode_first_answer),
        errors=(rows.DamagedRowError,),
        seeds=lambda: [rows.encode_first_answer(_ANSWER)],
        covers=(rows.decode_first_answer,),
        shape=Shape.PROTO,
    ),
    Target(
        name="row-of-record-place",
        run=_both_ways(rows.decode_record_place, rows.encode_record_place),
        errors=(rows.DamagedRowError,),
        seeds=lambda: [rows.encode_record_place(_RECORD)],
        covers=(rows.decode_record_place,),
        shape=Shape.PROTO,
    ),
    Target(
        name="row-of-outcomes",
        run=_run_outcomes,
        errors=(rows.DamagedRowError,),
        seeds=lambda: [bytes(Outcome)],
        covers=(rows.decode_outcomes,),
    ),
    Target(
        name="row-of-kind",
        run=_run_kind,
        errors=(rows.DamagedRowError,),
        seeds=lambda: [bytes((kind,)) for kind in EntryKind],
        covers=(rows.decode_kind,),
    ),
    Target(
        name="row-of-history",
        run=_both_ways(patient_rows.decode_history, patient_rows.encode_history),
        errors=(rows.DamagedRowError,),
        seeds=lambda: [patient_rows.encode_history(_HISTORY)],
        covers=(patient_rows.decode_history,),
        shape=Shape.PROTO,
    ),
    Target(
        name="row-of-custodian",
        run=_both_ways(patient_rows.decode_custodian, patient_rows.encode_custodian),
        errors=(rows.DamagedRowError,),
        seeds=lambda: [patient_rows.encode_custodian(_CUSTODIAN)],
        covers=(patient_rows.decode_custodian,),
        shape=Shape.PROTO,
    ),
    Target(
        name="row-of-grant",
        run=_both_ways(_decode_grant, patient_rows.encode_grant),
        errors=(rows.DamagedRowError,),
        seeds=lambda: [patient_rows.encode_grant(_GRANT)],
        covers=(patient_rows.decode_grant,),
        shape=Shape.PROTO,
    ),
    Target(
        name="row-of-keyring",
        run=patient_rows.decode_keyring,
        errors=(rows.DamagedRowError,),
        seeds=lambda: [patient_rows.encode_keyring(NEXT_KEYRING)],
        covers=(patient_rows.decode_keyring,),
        shape=Shape.PROTO,
    ),
    Target(
        name="row-of-raft",
        run=_run_raft_row,
        errors=(FatalError,),
        seeds=_raft_rows,
        covers=(decode_row,),
    ),
    Target(
        name="raft-log",
        run=_run_raft_log,
        errors=(FatalError,),
        seeds=_raft_stores,
        covers=(decode_row, StoredLog),
        words=(b"|", bytes(8)),
    ),
    Target(
        name="watermark",
        run=_run_watermark,
        errors=(StorageLostError, NewerReleaseError),
        seeds=_images,
        covers=(find_newest,),
    ),
    Target(
        name="watermark-records",
        run=_run_watermark_records,
        errors=(StorageLostError, NewerReleaseError),
        seeds=_records,
        covers=(find_newest,),
    ),
    Target(
        name="row-of-certified",
        run=_run_certified,
        errors=(StorageLostError,),
        seeds=lambda: [(7).to_bytes(8, "big") + history().note()],
        covers=(load_certified,),
        shape=Shape.TEXT,
    ),
    Target(
        name="rows-of-batch-numbers",
        run=_run_continuity,
        errors=(StorageLostError,),
        seeds=lambda: [b"".join((n).to_bytes(8, "big") + bytes(8) for n in range(1, 5))],
        covers=(BatchNumbers.resume,),
    ),
)
