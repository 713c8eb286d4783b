"""Whether an entry takes effect: VALIDITY, from the state at its position, its bytes, block time.

Nothing else may enter: no clock, no version of the software, nothing that this peer alone knows
(INV-8). Every peer that applies the same blocks must come to the same outcomes, and the tree it
ends in shows whether it did. The rules who may do what are in `access`; those which keyring epoch
is open, which grant stands and which records exist are here.

For each entry the checks stand in the order in which they are made, because the first that fails
gives the outcome.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

from caretree.ledger.access import (
    Reader,
    is_live,
    may_append,
    may_grant,
    may_open_keyring,
    may_read,
    may_revoke,
    opens_to_someone,
)
from caretree.ledger.custodians import Custodians
from caretree.ledger.genesis import Genesis
from caretree.ledger.overlay import Overlay
from caretree.ledger.patient_rows import CustodianState, decode_grant
from caretree.ledger.queries import (
    custodian_state,
    first_answer,
    grants_of_custodian,
    history_page,
    record_place,
    record_view,
)
from caretree.ledger.row_keys import custodian_key, grant_key, request_name
from caretree.ledger.values import (
    Actor,
    Body,
    Denial,
    Grant,
    Happening,
    Keyring,
    Outcome,
    Page,
    Patient,
    Reading,
    Record,
    ReplaceReason,
    Replaces,
    Revoke,
)
from caretree.model.ids import Height, KeyId, MemberId, Pseudonym, TimeMs
from caretree.storage.keys import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where an entry is judged: the state before it, the rules, its block."""

    rows: Overlay
    rules: Genesis
    height: Height
    time_ms: TimeMs
    known: Custodians  # as they stood before the block
    custodians: dict[tuple[Pseudonym, MemberId], CustodianState | None] = field(
        default_factory=dict
    )

    def custodian(self, patient: Patient, member: MemberId) -> CustodianState | None:
        """The member's keyring for the patient here, if it has one.

        Each is parsed once a block; `effects` keeps `custodians` as it changes the rows.
        """
        key = (patient.pseudonym, member)
        if key in self.custodians:
            return self.custodians[key]
        known = key in self.known
        state = self.known[key] if known else custodian_state(self.rows, patient, member)
        self.custodians[key] = state
        return state


def read_ahead(scene: Scene, bodies: Iterable[tuple[MemberId, Body | None]]) -> None:
    """Read at once the rows by which a block's records will be judged.

    A read of one row costs as much in passing the store's gate as in LevelDB.
    """
    rows, blind, known = scene.rows, scene.rows.blind, scene.known
    requests, records, keyrings = [], [], []
    for member, body in bodies:
        if body is None or not isinstance(body.happening, Record):
            continue
        requests.append(blind(request_name(member, body.request_id)))
        records.append(body.happening.record_id)
        pseudonym = body.happening.patient.pseudonym
        if (pseudonym, member) not in known:
            keyrings.append(custodian_key(blind(pseudonym), blind(member.encode())))
    rows.read_ahead(Table.REQUEST, requests)
    rows.read_ahead(Table.RECORD, records)
    rows.read_ahead(Table.CUSTODIAN, keyrings)


def decide(scene: Scene, member: MemberId, body: Body | None) -> Outcome:
    """The outcome of an entry by a peer of `member`; the body is None when it does not parse."""
    if body is None or not _patients_known(scene.rules.pseudonym_epoch, body.happening):
        return Outcome.MALFORMED
    answered = first_answer(scene.rows, member, body.request_id)
    if answered is not None:
        same = answered.request_digest == body.request_digest
        return Outcome.DUPLICATE if same else Outcome.REQUEST_ID_REUSED
    return _decide_happening(scene, member, body.actor, body.happening)


def patients_of(happening: Happening) -> tuple[Patient, ...]:
    """The patients whom an entry concerns: one, or for a denial as many as it names."""
    match happening:
        case Denial(attempts=attempts):
            return tuple(attempt.patient for attempt in attempts)
        case other:
            return (other.patient,)


def _patients_known(epoch: int, happening: Happening) -> bool:
    """Whether every pseudonym is said to be made with the key in force."""
    if isinstance(happening, Record):
        return happening.patient.pseudonym_epoch == epoch
    return all(patient.pseudonym_epoch == epoch for patient in patients_of(happening))


def _decide_happening(
    scene: Scene, member: MemberId, actor: Actor, happening: Happening
) -> Outcome:
    match happening:
        case Record():
            return _decide_record(scene, member, actor, happening)
        case Keyring():
            return _decide_keyring(scene, member, actor, happening)
        case Grant():
            return _decide_grant(scene, member, actor, happening)
        case Revoke():
            return _decide_revoke(scene, member, actor, happening)
        case Reading():
            return _decide_reading(scene, member, actor, happening)
        case Denial():
            return Outcome.APPLIED  # anyone may be refused, and each refusal is kept
        case _:
            assert_never(happening)


def _decide_record(scene: Scene, member: MemberId, actor: Actor, record: Record) -> Outcome:
    if record.custodian != member:
        return Outcome.WRONG_CUSTODIAN
    if not may_append(actor.role):
        return Outcome.NOT_PERMITTED
    state = scene.custodian(record.patient, member)
    if not _is_open_epoch(state, record.keyring_epoch, record.key_id):
        return Outcome.EPOCH_CLOSED
    if scene.rows.get(Table.RECORD, record.record_id) is not None:
        return Outcome.RECORD_EXISTS
    if record.replaces is not None and not _may_replace(scene, record, record.replaces):
        return Outcome.UNKNOWN_RECORD
    return Outcome.APPLIED


def _may_replace(scene: Scene, record: Record, replaces: Replaces) -> bool:
    """Whether the earlier record is this custodian's and, unless that was the error, the patient's.

    Another custodian's record is "unknown" too: the answer tells no more than it must.
    """
    earlier = record_place(scene.rows, replaces.record_id)
    if earlier is None or earlier.custodian != record.custodian:
        return False
    same_patient = earlier.pseudonym == record.patient.pseudonym
    return same_patient or replaces.reason is ReplaceReason.WRONG_PATIENT


def _decide_keyring(scene: Scene, member: MemberId, actor: Actor, keyring: Keyring) -> Outcome:
    if keyring.custodian != member:
        return Outcome.WRONG_CUSTODIAN
    if not may_open_keyring(actor.role):
        return Outcome.NOT_PERMITTED
    state = scene.custodian(keyring.patient, member)
    if not _follows(state, keyring):
        return Outcome.EPOCH_TAKEN
    if not _sealed_to_right_members(scene, keyring):
        return Outcome.WRONG_GRANTEES
    return Outcome.APPLIED


def _follows(state: CustodianState | None, keyring: Keyring) -> bool:
    """Whether this is the first epoch, or the next one after a revoke closed the last."""
    if state is None:
        return keyring.epoch == 1 and keyring.previous_key_id is None
    return (
        state.closed
        and keyring.epoch == state.epoch + 1
        and keyring.previous_key_id == state.key_id
    )


def _sealed_to_right_members(scene: Scene, keyring: Keyring) -> bool:
    """Whether the key goes to the custodian and every live grantee, to each once, to nobody else.

    A grant that has run out but was not taken back may still be served: its author could not know
    at which block time the entry would stand.
    """
    grants = grants_of_custodian(scene.rows, keyring.patient, keyring.custodian)
    allowed = {keyring.custodian, *(grant.grantee for grant in grants)}
    needed = {keyring.custodian} | {g.grantee for g in grants if is_live(g, scene.time_ms)}
    sealed_to = [sealed.member for sealed in keyring.sealed_keys]
    return len(sealed_to) == len(set(sealed_to)) and needed <= set(sealed_to) <= allowed


def _decide_grant(scene: Scene, member: MemberId, actor: Actor, grant: Grant) -> Outcome:
    if grant.custodian != member:
        return Outcome.WRONG_CUSTODIAN
    if not may_grant(actor.role):
        return Outcome.NOT_PERMITTED
    state = scene.custodian(grant.patient, member)
    if not _is_open_epoch(state, grant.keyring_epoch, grant.key_id):
        return Outcome.EPOCH_CLOSED
    to_another = grant.grantee != member and scene.rules.member(grant.grantee) is not None
    key = grant_key(scene.rows.blind(grant.patient.pseudonym), grant.grant_id)
    taken = scene.rows.get(Table.GRANT, key) is not None
    if taken or not to_another or not opens_to_someone(grant.rule, scene.time_ms):
        return Outcome.GRANT_INVALID
    return Outcome.APPLIED


def _decide_revoke(scene: Scene, member: MemberId, actor: Actor, revoke: Revoke) -> Outcome:
    if revoke.custodian != member:
        return Outcome.WRONG_CUSTODIAN
    if not may_revoke(actor.role):
        return Outcome.NOT_PERMITTED
    key = grant_key(scene.rows.blind(revoke.patient.pseudonym), revoke.grant_id)
    value = scene.rows.get(Table.GRANT, key)
    if value is None:
        return Outcome.UNKNOWN_GRANT
    grant = decode_grant(revoke.grant_id, value)
    if grant.custodian != member or grant.revoked_ms is not None:
        return Outcome.UNKNOWN_GRANT
    return Outcome.APPLIED


def _decide_reading(scene: Scene, member: MemberId, actor: Actor, reading: Reading) -> Outcome:
    """INV-12: a reading names exactly what is open at its position, so it misses nothing before it.

    That makes reads linearizable without another round: one drafted on an old state is stale.
    """
    if not may_read(actor.role):
        return Outcome.NOT_PERMITTED
    reader = Reader(actor=actor, member=member, purpose=reading.purpose)
    if isinstance(reading.scope, Page):
        view = history_page(scene.rows, reader, reading.patient, reading.scope, scene.time_ms)
        if not view.standing:
            return Outcome.NOT_OPEN
        released = view.open_ids
    else:
        item = record_view(scene.rows, reader, reading.patient, reading.scope, scene.time_ms)
        if item is None:
            return Outcome.UNKNOWN_RECORD
        if not item.is_open:
            return Outcome.NOT_OPEN
        released = (item.row.record_id,)
    return Outcome.APPLIED if reading.record_ids == released else Outcome.READING_STALE


def _is_open_epoch(state: CustodianState | None, epoch: int, key_id: KeyId) -> bool:
    """Whether the entry names the keyring epoch that is open here, and its key."""
    return (
        state is not None and not state.closed and state.epoch == epoch and state.key_id == key_id
    )
