"""How a member comes to a keyring epoch's key: one sealed key to open, then link by link back.

Each epoch's key seals the one before it, and none after it. So a member that was given the key of
epoch e opens e and all before; the path is the shortest from what it was given. This is what keys
allow. Who may ask for it is decided in `access`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from caretree.crypto.custody import Custody
from caretree.crypto.keyring import (
    KeyringContext,
    check_key_id,
    keyring_seal_info,
    open_previous,
)
from caretree.crypto.x25519 import SealingKey
from caretree.ledger.patient_rows import KeyringState, decode_keyring
from caretree.ledger.queries import custodian_state, grants_of
from caretree.ledger.row_keys import keyring_key
from caretree.ledger.values import Patient
from caretree.model.ids import KeyId, MemberId
from caretree.storage.keys import Table
from caretree.storage.ports import Reads


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochKey:
    """A keyring epoch's key in the clear; never stored, never shown. Its id was checked once."""

    epoch: int
    key_id: KeyId
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainLink:
    """The key of one epoch, sealed under the key of the next."""

    epoch: int
    key_id: KeyId
    chained: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPath:
    """A sealed key of `epoch`, and the links from there down to the epoch asked for."""

    epoch: int
    key_id: KeyId
    sealed: bytes = field(repr=False)
    info: bytes = field(repr=False)  # the HPKE context it was sealed under
    links: tuple[ChainLink, ...]  # newest first; empty when the sealed key is the one asked for


def key_path(
    reads: Reads, context: KeyringContext, patient: Patient, *, member: MemberId, epoch: int
) -> KeyPath | None:
    """The shortest path of `member` to the key of `epoch` in this patient's keyring of a custodian.

    None when it was never given that key or a later one. `context` names custodian and patient.

    Raises:
        DamagedRowError: a row is not one that apply wrote.
    """
    assert context.pseudonym == patient.pseudonym
    found = _nearest_sealed_key(reads, context, patient, member=member, epoch=epoch)
    if found is None:
        return None
    sealed_epoch, key_id, sealed = found
    links: list[ChainLink] = []
    for number in range(sealed_epoch, epoch, -1):
        state = _keyring(reads, context, number)
        if state is None or state.previous_key_id is None:
            return None  # a keyring entry between was erased
        link = ChainLink(epoch=number - 1, key_id=state.previous_key_id, chained=state.previous_key)
        links.append(link)
    return KeyPath(
        epoch=sealed_epoch,
        key_id=key_id,
        sealed=sealed,
        info=keyring_seal_info(context, epoch_key_id=key_id, recipient=member),
        links=tuple(links),
    )


def open_key_path(
    path: KeyPath, context: KeyringContext, *, custody: Custody, sealing_key: SealingKey
) -> EpochKey:
    """The key at the path's end; every key on the way is checked against its key id.

    Raises:
        OpeningError: a key was not sealed to this member, or is not the one that its id names.
        MalformedError: a sealed key has a wrong length, version or suite.
    """
    key = custody.open_sealed(sealing_key, info=path.info, sealed=path.sealed)
    check_key_id(key, path.key_id)
    reached = EpochKey(epoch=path.epoch, key_id=path.key_id, key=key)
    for link in path.links:
        key = open_previous(
            new_key=reached.key, previous_key_id=link.key_id, chained=link.chained, context=context
        )
        reached = EpochKey(epoch=link.epoch, key_id=link.key_id, key=key)
    return reached


def _nearest_sealed_key(
    reads: Reads, context: KeyringContext, patient: Patient, *, member: MemberId, epoch: int
) -> tuple[int, KeyId, bytes] | None:
    """The lowest epoch from `epoch` on whose key was sealed to the member: number, id, sealed."""
    granted = min(_grants(reads, context, patient, member=member, epoch=epoch), default=None)
    state = custodian_state(reads, patient, context.custodian)
    newest = 0 if state is None else state.epoch
    for number in range(epoch, (newest if granted is None else granted[0]) + 1):
        keyring = _keyring(reads, context, number)
        if keyring is None:
            continue
        for sealed in keyring.sealed_keys:
            if sealed.member == member:
                return number, keyring.key_id, sealed.sealed
    return granted


def _grants(
    reads: Reads, context: KeyringContext, patient: Patient, *, member: MemberId, epoch: int
) -> Iterator[tuple[int, KeyId, bytes]]:
    for grant in grants_of(reads, patient):
        to_member = grant.grantee == member and grant.custodian == context.custodian
        if to_member and grant.keyring_epoch >= epoch:
            yield grant.keyring_epoch, grant.key_id, grant.sealed_key


def _keyring(reads: Reads, context: KeyringContext, epoch: int) -> KeyringState | None:
    blinded, custodian = reads.blind(context.pseudonym), reads.blind(context.custodian.encode())
    key = keyring_key(blinded, custodian, epoch)
    value = reads.get(Table.KEYRING, key)
    return None if value is None else decode_keyring(value)
