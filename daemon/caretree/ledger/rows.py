"""The rows that apply derives, as values and as bytes (keys in `row_keys`).

Those of patients stand in `patient_rows`. The rows that every record adds have fixed layouts, big-
endian, and end in what varies: four of them are written for each record, and a message built field
by field costs several times as much. The others are messages of proto state.proto.

    REQUEST    u8 version, u64 height, u32 place, u64 leaf index, 32 bytes request digest, and for a
               record its 16 bytes of id
    RECORD     u8 version, u64 height, u32 place, u64 leaf index, u32 pseudonym epoch, 32 bytes
               pseudonym, the custodian's name

They are stored, not hashed: a peer reads only what it wrote itself, and the storage door has
checked each value. So a row that does not parse is no input to be refused but a fault of this
peer, and fatal.
"""

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message

from caretree.ledger.values import (
    EntryKind,
    Head,
    Outcome,
    Patient,
    Position,
)
from caretree.merkle.frontier import parse_frontier
from caretree.model.errors import FatalError, MalformedError
from caretree.model.ids import (
    Digest,
    Height,
    LeafIndex,
    MemberId,
    Place,
    Pseudonym,
    RecordId,
    TimeMs,
)
from caretree.proto.ledger.v1 import state_pb2

ROW_VERSION: Final = 1
RECORD_ID_BYTES: Final = 16

_REQUEST: Final = Struct(">BQIQ32s")
_RECORD: Final = Struct(">BQIQI32s")

MessageT = TypeVar("MessageT", bound=Message)


class DamagedRowError(FatalError):
    """A row of this peer's own does not read as it was written."""

    def __init__(self, table: str, found: str) -> None:
        super().__init__(f"{table}: a row is not what was written there: {found}")
        self.table = table


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockPlace:
    """Where an applied block stands in the tree; its seal is the last of its leaves."""

    block_hash: Digest
    first_leaf: LeafIndex
    leaf_count: int
    time_ms: TimeMs

    @property
    def seal_index(self) -> LeafIndex:
        """The seal's leaf index."""
        return LeafIndex(self.first_leaf + self.leaf_count - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstAnswer:
    """What came of a request when it took effect; record_id only for a record."""

    position: Position
    request_digest: Digest
    record_id: RecordId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPlace:
    """Where a record stands, and whose it is."""

    position: Position
    pseudonym_epoch: int
    pseudonym: Pseudonym
    custodian: MemberId


def encode_head(head: Head) -> bytes:
    """The row of the head; the root follows from the frontier and is not kept."""
    return state_pb2.HeadRow(
        version=ROW_VERSION,
        height=head.height,
        block_hash=head.block_hash,
        time_ms=head.time_ms,
        tree_size=head.tree_size,
        frontier=head.frontier,
        membership_epoch=head.membership_epoch,
        ledger_version=head.ledger_version,
    ).SerializeToString()


def decode_head(value: bytes) -> Head:
    """The head of its row.

    Raises:
        DamagedRowError: it is not such a row, or of a newer version.
    """
    row = parse_row(state_pb2.HeadRow.FromString, value, "STATE")
    if row.version != ROW_VERSION:
        raise DamagedRowError("STATE", f"version {row.version}, expected {ROW_VERSION}")
    try:
        frontier = parse_frontier(size=row.tree_size, roots=tuple(row.frontier))
    except MalformedError as error:
        raise DamagedRowError("STATE", error.message) from error
    return Head(
        height=Height(row.height),
        block_hash=Digest(row.block_hash),
        time_ms=TimeMs(row.time_ms),
        tree_size=frontier.size,
        frontier=frontier.roots,
        root=frontier.root(),
        membership_epoch=row.membership_epoch,
        ledger_version=row.ledger_version,
    )


def encode_block_place(place: BlockPlace) -> bytes:
    """The row of Table.HEIGHT."""
    return state_pb2.HeightRow(
        block_hash=place.block_hash,
        first_leaf=place.first_leaf,
        leaf_count=place.leaf_count,
        time_ms=place.time_ms,
    ).SerializeToString()


def decode_block_place(value: bytes) -> BlockPlace:
    """The inverse of `encode_block_place`.

    Raises:
        DamagedRowError: it is not such a row.
    """
    row = parse_row(state_pb2.HeightRow.FromString, value, "HEIGHT")
    return BlockPlace(
        block_hash=Digest(row.block_hash),
        first_leaf=LeafIndex(row.first_leaf),
        leaf_count=row.leaf_count,
        time_ms=TimeMs(row.time_ms),
    )


def encode_outcomes(outcomes: tuple[Outcome, ...]) -> bytes:
    """The row of Table.OUTCOME: one byte for each entry, in order."""
    return bytes(outcomes)


def decode_outcomes(value: bytes) -> tuple[Outcome, ...]:
    """The inverse of `encode_outcomes`.

    Raises:
        DamagedRowError: it is not such a row.
    """
    try:
        return parse_outcomes(value)
    except MalformedError as error:
        raise DamagedRowError("OUTCOME", error.message) from error


def parse_outcomes(encoded: bytes) -> tuple[Outcome, ...]:
    """The outcomes that another peer recorded, as `encode_outcomes` gives them.

    Raises:
        MalformedError: a byte is no outcome.
    """
    try:
        return tuple(map(Outcome, encoded))
    except ValueError:
        raise MalformedError("outcomes", "expected a known outcome for each entry") from None


def encode_first_answer(answer: FirstAnswer) -> bytes:
    """The row of Table.REQUEST."""
    return request_row(
        answer.position, request_digest=answer.request_digest, record_id=answer.record_id
    )


def request_row(position: Position, *, request_digest: Digest, record_id: RecordId | None) -> bytes:
    """As `encode_first_answer`, from the parts."""
    fixed = _REQUEST.pack(
        ROW_VERSION, position.height, position.place, position.leaf_index, request_digest
    )
    return fixed if record_id is None else fixed + record_id


def decode_first_answer(value: bytes) -> FirstAnswer:
    """The inverse of `encode_first_answer`.

    Raises:
        DamagedRowError: it is not such a row.
    """
    record_id = rest_of_row(_REQUEST, value, "REQUEST")
    _, height, place, leaf_index, digest = _REQUEST.unpack_from(value)
    if len(record_id) not in {0, RECORD_ID_BYTES}:
        raise DamagedRowError("REQUEST", "its length is none that a row has")
    return FirstAnswer(
        position=_position(height, place, leaf_index),
        request_digest=Digest(digest),
        record_id=RecordId(record_id) if record_id else None,
    )


def encode_record_place(record: RecordPlace) -> bytes:
    """The row of Table.RECORD."""
    patient = Patient(pseudonym_epoch=record.pseudonym_epoch, pseudonym=record.pseudonym)
    return record_row(record.position, patient, custodian=record.custodian)


def record_row(position: Position, patient: Patient, *, custodian: MemberId) -> bytes:
    """As `encode_record_place`, from the parts."""
    fixed = _RECORD.pack(
        ROW_VERSION,
        position.height,
        position.place,
        position.leaf_index,
        patient.pseudonym_epoch,
        patient.pseudonym,
    )
    return fixed + custodian.encode()


def decode_record_place(value: bytes) -> RecordPlace:
    """The inverse of `encode_record_place`.

    Raises:
        DamagedRowError: it is not such a row.
    """
    custodian = rest_of_row(_RECORD, value, "RECORD")
    _, height, place, leaf_index, pseudonym_epoch, pseudonym = _RECORD.unpack_from(value)
    return RecordPlace(
        position=_position(height, place, leaf_index),
        pseudonym_epoch=pseudonym_epoch,
        pseudonym=Pseudonym(pseudonym),
        custodian=read_member(custodian, "RECORD"),
    )


def encode_kind(kind: EntryKind) -> bytes:
    """The row of Table.TRAIL and Table.PATIENT_TRAIL: one byte."""
    return bytes((kind,))


def decode_kind(value: bytes) -> EntryKind:
    """The inverse of `encode_kind`.

    Raises:
        DamagedRowError: it is not such a row.
    """
    try:
        (number,) = value
        return EntryKind(number)
    except ValueError as error:
        raise DamagedRowError("TRAIL", "no kind of entry") from error


def _position(height: int, place: int, leaf_index: int) -> Position:
    return Position(height=Height(height), place=Place(place), leaf_index=LeafIndex(leaf_index))


def rest_of_row(layout: Struct, value: bytes, table: str) -> bytes:
    """What follows the fixed part of a row of this layout.

    Raises:
        DamagedRowError: it is cut, or of a newer version.
    """
    if len(value) < layout.size:
        raise DamagedRowError(table, "it is cut")
    if value[0] != ROW_VERSION:
        raise DamagedRowError(table, f"version {value[0]}, expected {ROW_VERSION}")
    return value[layout.size :]


def read_member(name: bytes, table: str) -> MemberId:
    """The member whose name ends a row.

    Raises:
        DamagedRowError: it is no name.
    """
    try:
        return MemberId(name.decode())
    except UnicodeDecodeError as error:
        raise DamagedRowError(table, "a name is not in UTF-8") from error


def parse_row(parse: Callable[[bytes], MessageT], value: bytes, table: str) -> MessageT:
    """The message of a row that this peer wrote.

    Raises:
        DamagedRowError: it is none.
    """
    try:
        return parse(value)
    except DecodeError as error:
        raise DamagedRowError(table, "it does not parse") from error
