"""What an applied entry changes in the derived rows. Whether it may is not asked here any more.

The entry was judged by `decide`, or is one of a block whose outcomes were recorded before something
of it, or of a block below, was erased. In the second case rows that an earlier, erased entry would
have made are missing, and what would have been changed in them is left out.
"""

from dataclasses import replace
from typing import assert_never

from caretree.ledger.bodies import kind_of
from caretree.ledger.decide import Scene, patients_of
from caretree.ledger.patient_rows import (
    CustodianState,
    GrantState,
    HistoryRow,
    decode_grant,
    encode_custodian,
    encode_grant,
    encode_history,
    encode_keyring,
    new_history_row,
)
from caretree.ledger.queries import history_row, record_place
from caretree.ledger.row_keys import (
    custodian_key,
    grant_key,
    history_key,
    keyring_key,
    request_name,
    trail_key,
)
from caretree.ledger.rows import encode_kind, record_row, request_row
from caretree.ledger.values import (
    Body,
    Denial,
    Grant,
    Happening,
    Keyring,
    Patient,
    Position,
    Reading,
    Record,
    Revoke,
)
from caretree.model.ids import LeafIndex, MemberId, RecordId
from caretree.storage.keys import Table


def take_effect(scene: Scene, member: MemberId, body: Body, position: Position) -> None:
    """Put the rows that follow from an applied entry of a peer of `member`."""
    match body.happening:
        case Record() as record:
            _add_record(scene, record, position)
        case Keyring() as keyring:
            _open_epoch(scene, keyring)
        case Grant() as grant:
            _give(scene, grant, position)
        case Revoke() as revoke:
            _take_back(scene, revoke)
        case Reading() | Denial():
            pass  # their whole effect is that they stand in the trail
        case other:
            assert_never(other)
    _remember_request(scene, member, body, position)
    _follow(scene, body.happening, position.leaf_index)


def _add_record(scene: Scene, record: Record, position: Position) -> None:
    rows, patient = scene.rows, record.patient
    place = record_row(position, patient, custodian=record.custodian)
    rows.put(Table.RECORD, record.record_id, place)
    row = new_history_row(record, position, time_ms=scene.time_ms)
    rows.put(Table.HISTORY, history_key(rows.blind(patient.pseudonym), position.leaf_index), row)
    state = scene.custodian(patient, record.custodian)
    if state is not None and not state.has_records:
        _put_custodian(scene, patient, replace(state, has_records=True))
    if record.replaces is not None:
        _mark_replaced(scene, record.replaces.record_id, by=record.record_id)


def _mark_replaced(scene: Scene, earlier: RecordId, *, by: RecordId) -> None:
    """Say in the earlier record's history, perhaps another patient's, what took its place.

    When several records replace one, the last of them is told.
    """
    place = record_place(scene.rows, earlier)
    if place is None:
        return
    patient = Patient(pseudonym_epoch=place.pseudonym_epoch, pseudonym=place.pseudonym)
    leaf_index = place.position.leaf_index
    row = history_row(scene.rows, patient, leaf_index)
    if row is not None:
        _put_history(scene, patient, leaf_index, replace(row, replaced_by=by))


def _open_epoch(scene: Scene, keyring: Keyring) -> None:
    rows, patient = scene.rows, keyring.patient
    before = scene.custodian(patient, keyring.custodian)
    state = CustodianState(
        custodian=keyring.custodian,
        epoch=keyring.epoch,
        key_id=keyring.key_id,
        closed=False,
        has_records=before is not None and before.has_records,
    )
    _put_custodian(scene, patient, state)
    blinded, custodian = rows.blind(patient.pseudonym), rows.blind(keyring.custodian.encode())
    key = keyring_key(blinded, custodian, keyring.epoch)
    rows.put(Table.KEYRING, key, encode_keyring(keyring))


def _give(scene: Scene, grant: Grant, position: Position) -> None:
    state = GrantState(
        grant_id=grant.grant_id,
        custodian=grant.custodian,
        grantee=grant.grantee,
        keyring_epoch=grant.keyring_epoch,
        key_id=grant.key_id,
        sealed_key=grant.sealed_key,
        rule=grant.rule,
        granted_ms=scene.time_ms,
        revoked_ms=None,
        leaf_index=position.leaf_index,
    )
    _put_grant(scene, grant.patient, state)


def _take_back(scene: Scene, revoke: Revoke) -> None:
    """Mark the grant, and close the epoch at once: its key is known to the member that lost it."""
    rows, patient = scene.rows, revoke.patient
    value = rows.get(Table.GRANT, grant_key(rows.blind(patient.pseudonym), revoke.grant_id))
    if value is not None:
        grant = decode_grant(revoke.grant_id, value)
        _put_grant(scene, patient, replace(grant, revoked_ms=scene.time_ms))
    state = scene.custodian(patient, revoke.custodian)
    if state is not None:
        _put_custodian(scene, patient, replace(state, closed=True))


def _remember_request(scene: Scene, member: MemberId, body: Body, position: Position) -> None:
    happening = body.happening
    record_id = happening.record_id if isinstance(happening, Record) else None
    row = request_row(position, request_digest=body.request_digest, record_id=record_id)
    key = scene.rows.blind(request_name(member, body.request_id))
    scene.rows.put(Table.REQUEST, key, row)


def _follow(scene: Scene, happening: Happening, leaf_index: LeafIndex) -> None:
    """Put the entry on the trail, unless it is a record: those are found in their history."""
    if isinstance(happening, Record):
        return
    kind = encode_kind(kind_of(happening))
    scene.rows.put(Table.TRAIL, trail_key(leaf_index), kind)
    for patient in patients_of(happening):
        key = history_key(scene.rows.blind(patient.pseudonym), leaf_index)
        scene.rows.put(Table.PATIENT_TRAIL, key, kind)


def _put_history(scene: Scene, patient: Patient, leaf_index: LeafIndex, row: HistoryRow) -> None:
    key = history_key(scene.rows.blind(patient.pseudonym), leaf_index)
    scene.rows.put(Table.HISTORY, key, encode_history(row))


def _put_custodian(scene: Scene, patient: Patient, state: CustodianState) -> None:
    rows, member = scene.rows, state.custodian
    key = custodian_key(rows.blind(patient.pseudonym), rows.blind(member.encode()))
    rows.put(Table.CUSTODIAN, key, encode_custodian(state))
    scene.custodians[patient.pseudonym, member] = state


def _put_grant(scene: Scene, patient: Patient, grant: GrantState) -> None:
    key = grant_key(scene.rows.blind(patient.pseudonym), grant.grant_id)
    scene.rows.put(Table.GRANT, key, encode_grant(grant))
