"""The rows of patients: their histories, keyrings and grants, as values and as bytes.

As `rows`, which has all other rows; these are the ones that the storage door encrypts and whose
keys begin with a patient's blinded name.
"""

from dataclasses import dataclass

from caretree.ledger.rows import DamagedRowError, parse_row
from caretree.ledger.values import Keyring, Purpose, Role, Rule, SealedKey
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
    """A custodian's keyring for a patient, and how many records it holds of them."""

    custodian: MemberId
    epoch: int
    key_id: KeyId
    closed: bool
    records: int


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
    return state_pb2.HistoryRow(
        record_id=row.record_id,
        custodian=row.custodian,
        keyring_epoch=row.keyring_epoch,
        time_ms=row.time_ms,
        height=row.height,
        place=row.place,
        replaced_by=row.replaced_by or b"",
    ).SerializeToString()


def decode_history(value: bytes) -> HistoryRow:
    """The inverse of `encode_history`.

    Raises:
        DamagedRowError: it is not such a row.
    """
    row = parse_row(state_pb2.HistoryRow.FromString, value, "HISTORY")
    return HistoryRow(
        record_id=RecordId(row.record_id),
        custodian=MemberId(row.custodian),
        keyring_epoch=row.keyring_epoch,
        time_ms=TimeMs(row.time_ms),
        height=Height(row.height),
        place=Place(row.place),
        replaced_by=RecordId(row.replaced_by) if row.replaced_by else None,
    )


def encode_custodian(state: CustodianState) -> bytes:
    """The row of Table.CUSTODIAN."""
    return state_pb2.CustodianRow(
        epoch=state.epoch,
        key_id=state.key_id,
        closed=state.closed,
        records=state.records,
        custodian=state.custodian,
    ).SerializeToString()


def decode_custodian(value: bytes) -> CustodianState:
    """The inverse of `encode_custodian`.

    Raises:
        DamagedRowError: it is not such a row.
    """
    row = parse_row(state_pb2.CustodianRow.FromString, value, "CUSTODIAN")
    return CustodianState(
        custodian=MemberId(row.custodian),
        epoch=row.epoch,
        key_id=KeyId(row.key_id),
        closed=row.closed,
        records=row.records,
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
