"""The rows of patients: their histories, keyrings and grants, as values and as bytes.

As `rows`, which has all other rows; these are the ones that the storage door encrypts and whose
keys begin with a patient's blinded name.

    HISTORY    u8 version, u64 height, u32 place, u64 time in ms, u32 keyring epoch, 16 bytes record
               id, u8 whether it was replaced and if so 16 bytes id of its successor, custodian
    CUSTODIAN  u8 version, u32 epoch, 32 bytes key id, u8 whether it is closed, u8 whether it has
               records, the custodian's name
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final

from caretree.ledger.rows import (
    RECORD_ID_BYTES,
    ROW_VERSION,
    DamagedRowError,
    parse_row,
    read_member,
    rest_of_row,
)
from caretree.ledger.values import Keyring, Position, Purpose, Record, Role, Rule, SealedKey
from caretree.model.ids import (
    GrantId,
    Height,
    KeyId,
    LeafIndex,
    MemberId,
    Place,
    RecordId,
    TimeMs,
)
from caretree.proto.ledger.v1 import body_pb2, state_pb2

_HISTORY: Final = Struct(">BQIQI16s?")
_CUSTODIAN: Final = Struct(">BI32s??")


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """A record in its patient's history."""

    record_id: RecordId
    custodian: MemberId
    keyring_epoch: int
    time_ms: TimeMs
    height: Height
    place: Place
    replaced_by: RecordId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodianState:
    """A custodian's keyring for a patient, and whether it holds a record of them.

    Not how many: then each record would write the row again.
    """

    custodian: MemberId
    epoch: int
    key_id: KeyId
    closed: bool
    has_records: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantState:
    """A grant as it stands; revoked_ms is None while it was not taken back."""

    grant_id: GrantId
    custodian: MemberId
    grantee: MemberId
    keyring_epoch: int
    key_id: KeyId
    sealed_key: bytes
    rule: Rule
    granted_ms: TimeMs
    revoked_ms: TimeMs | None
    leaf_index: LeafIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyringState:
    """A keyring epoch's key: its name, the key before under it, and to whom it is sealed."""

    key_id: KeyId
    previous_key_id: KeyId | None
    previous_key: bytes
    sealed_keys: tuple[SealedKey, ...]


def encode_history(row: HistoryRow) -> bytes:
    """The row of Table.HISTORY."""
    fixed = _HISTORY.pack(
        ROW_VERSION,
        row.height,
        row.place,
        row.time_ms,
        row.keyring_epoch,
        row.record_id,
        row.replaced_by is not None,
    )
    return fixed + (row.replaced_by or b"") + row.custodian.encode()


def new_history_row(record: Record, position: Position, *, time_ms: TimeMs) -> bytes:
    """The row of Table.HISTORY with which a record begins: replaced by none."""
    fixed = _HISTORY.pack(
        ROW_VERSION,
        position.height,
        position.place,
        time_ms,
        record.keyring_epoch,
        record.record_id,
        False,  # noqa: FBT003 (a field of the row)
    )
    return fixed + record.custodian.encode()


def decode_history(value: bytes) -> HistoryRow:
    """The inverse of `encode_history`.

    Raises:
        DamagedRowError: it is not such a row.
    """
    rest = rest_of_row(_HISTORY, value, "HISTORY")
    _, height, place, time_ms, keyring_epoch, record_id, replaced = _HISTORY.unpack_from(value)
    replaced_by, custodian = b"", rest
    if replaced:
        replaced_by, custodian = rest[:RECORD_ID_BYTES], rest[RECORD_ID_BYTES:]
        if len(replaced_by) != RECORD_ID_BYTES:
            raise DamagedRowError("HISTORY", "it is cut")
    return HistoryRow(
        record_id=RecordId(record_id),
        custodian=read_member(custodian, "HISTORY"),
        keyring_epoch=keyring_epoch,
        time_ms=TimeMs(time_ms),
        height=Height(height),
        place=Place(place),
        replaced_by=RecordId(replaced_by) if replaced else None,
    )


def encode_custodian(state: CustodianState) -> bytes:
    """The row of Table.CUSTODIAN."""
    fixed = _CUSTODIAN.pack(ROW_VERSION, state.epoch, state.key_id, state.closed, state.has_records)
    return fixed + state.custodian.encode()


def decode_custodian(value: bytes) -> CustodianState:
    """The inverse of `encode_custodian`.

    Raises:
        DamagedRowError: it is not such a row.
    """
    name = rest_of_row(_CUSTODIAN, value, "CUSTODIAN")
    _, epoch, key_id, closed, has_records = _CUSTODIAN.unpack_from(value)
    return CustodianState(
        custodian=read_member(name, "CUSTODIAN"),
        epoch=epoch,
        key_id=KeyId(key_id),
        closed=closed,
        has_records=has_records,
    )


def encode_grant(grant: GrantState) -> bytes:
    """The row of Table.GRANT; the grant id stands in its key."""
    return state_pb2.GrantRow(
        custodian=grant.custodian,
        grantee=grant.grantee,
        keyring_epoch=grant.keyring_epoch,
        key_id=grant.key_id,
        sealed_key=grant.sealed_key,
        # Sorted, because sets have no order and the row's bytes are compared.
        roles=sorted(role.value for role in grant.rule.roles),
        principals=sorted(grant.rule.principals),
        purpose=grant.rule.purpose.value,
        until_ms=grant.rule.until_ms,
        revoked_ms=grant.revoked_ms or 0,
        leaf_index=grant.leaf_index,
        granted_ms=grant.granted_ms,
    ).SerializeToString()


def decode_grant(grant_id: GrantId, value: bytes) -> GrantState:
    """The inverse of `encode_grant`.

    Raises:
        DamagedRowError: it is not such a row.
    """
    row = parse_row(state_pb2.GrantRow.FromString, value, "GRANT")
    try:
        rule = Rule(
            roles=frozenset(map(Role, row.roles)),
            principals=frozenset(row.principals),
            purpose=Purpose(row.purpose),
            until_ms=TimeMs(row.until_ms),
        )
    except ValueError as error:
        raise DamagedRowError("GRANT", "an unknown role or purpose") from error
    return GrantState(
        grant_id=grant_id,
        custodian=MemberId(row.custodian),
        grantee=MemberId(row.grantee),
        keyring_epoch=row.keyring_epoch,
        key_id=KeyId(row.key_id),
        sealed_key=row.sealed_key,
        rule=rule,
        granted_ms=TimeMs(row.granted_ms),
        revoked_ms=TimeMs(row.revoked_ms) if row.revoked_ms else None,
        leaf_index=LeafIndex(row.leaf_index),
    )


def encode_keyring(keyring: Keyring) -> bytes:
    """The row of Table.KEYRING: a Keyring message of body.proto without what stands in the key."""
    return body_pb2.Keyring(
        key_id=keyring.key_id,
        previous_key_id=keyring.previous_key_id or b"",
        previous_key=keyring.previous_key,
        sealed_keys=[
            body_pb2.SealedKey(member=key.member, sealed=key.sealed) for key in keyring.sealed_keys
        ],
    ).SerializeToString()


def decode_keyring(value: bytes) -> KeyringState:
    """The inverse of `encode_keyring`.

    Raises:
        DamagedRowError: it is not such a row.
    """
    row = parse_row(body_pb2.Keyring.FromString, value, "KEYRING")
    return KeyringState(
        key_id=KeyId(row.key_id),
        previous_key_id=KeyId(row.previous_key_id) if row.previous_key_id else None,
        previous_key=row.previous_key,
        sealed_keys=tuple(
            SealedKey(member=MemberId(key.member), sealed=key.sealed) for key in row.sealed_keys
        ),
    )
