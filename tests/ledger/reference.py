"""The rules of the ledger a second time, slow and plain: answers from a list of what happened.

It keeps no state but that list, and shares no code with the ledger but the values.
"""

from dataclasses import dataclass

from caretree.ledger.values import (
    Body,
    Denial,
    Grant,
    Happening,
    Keyring,
    Outcome,
    Page,
    Patient,
    Purpose,
    Reading,
    Record,
    ReplaceReason,
    Revoke,
    Role,
)
from caretree.model.ids import MemberId

READERS = ("PHYSICIAN", "NURSE", "LABORATORY")
GRANTERS = ("PHYSICIAN", "REGISTRAR")
WRITERS = ("PHYSICIAN", "NURSE", "LABORATORY", "REGISTRAR")


@dataclass(frozen=True)
class Event:
    """Something that took effect."""

    time_ms: int
    leaf: int
    member: MemberId
    body: Body

    @property
    def happening(self) -> Happening:
        return self.body.happening


class Reference:
    """What has taken effect so far."""

    def __init__(self, members: tuple[MemberId, ...]) -> None:
        self.members = members
        self.events: list[Event] = []

    def add(self, time_ms: int, leaf: int, member: MemberId, body: Body) -> None:
        self.events.append(Event(time_ms, leaf, member, body))

    def judge(self, time_ms: int, member: MemberId, body: Body) -> Outcome:
        for event in self.events:
            if event.member == member and event.body.request_id == body.request_id:
                same = event.body.request_digest == body.request_digest
                return Outcome.DUPLICATE if same else Outcome.REQUEST_ID_REUSED
        return self.judge_new(time_ms, member, body, body.happening)

    def judge_new(
        self, time_ms: int, member: MemberId, body: Body, happening: Happening
    ) -> Outcome:
        if isinstance(happening, Denial):
            return Outcome.APPLIED
        if isinstance(happening, Reading):
            return self.judge_reading(time_ms, member, body, happening)
        if happening.custodian != member:
            return Outcome.WRONG_CUSTODIAN
        if isinstance(happening, Grant | Revoke):
            return self.judge_granting(time_ms, body.actor.role, happening)
        return self.judge_adding(time_ms, body.actor.role, happening)

    def judge_adding(self, time_ms: int, role: Role, happening: Record | Keyring) -> Outcome:
        if role.name not in WRITERS:
            return Outcome.NOT_PERMITTED
        if isinstance(happening, Record):
            return self.judge_record(happening)
        return self.judge_keyring(time_ms, happening)

    def judge_granting(self, time_ms: int, role: Role, happening: Grant | Revoke) -> Outcome:
        if role.name not in GRANTERS:
            return Outcome.NOT_PERMITTED
        if isinstance(happening, Grant):
            return self.judge_grant(time_ms, happening)
        standing = [g.grant_id for g in self.unrevoked(happening.patient, happening.custodian)]
        return Outcome.APPLIED if happening.grant_id in standing else Outcome.UNKNOWN_GRANT

    def judge_record(self, record: Record) -> Outcome:
        if self.open_epoch(record.patient, record.custodian) != (
            record.keyring_epoch,
            record.key_id,
        ):
            return Outcome.EPOCH_CLOSED
        everyones = [e.happening for e in self.events if isinstance(e.happening, Record)]
        if record.record_id in [r.record_id for r in everyones]:
            return Outcome.RECORD_EXISTS
        if record.replaces is not None:
            wrong_patient = record.replaces.reason is ReplaceReason.WRONG_PATIENT
            fitting = [
                r
                for r in everyones
                if r.record_id == record.replaces.record_id
                and r.custodian == record.custodian
                and (wrong_patient or r.patient == record.patient)
            ]
            if not fitting:
                return Outcome.UNKNOWN_RECORD
        return Outcome.APPLIED

    def judge_keyring(self, time_ms: int, keyring: Keyring) -> Outcome:
        earlier = [
            e.happening
            for e in self.events
            if isinstance(e.happening, Keyring)
            and (e.happening.patient, e.happening.custodian) == (keyring.patient, keyring.custodian)
        ]
        is_open = self.open_epoch(keyring.patient, keyring.custodian) is not None
        follows = (
            (keyring.epoch, keyring.previous_key_id) == (earlier[-1].epoch + 1, earlier[-1].key_id)
            if earlier
            else keyring.epoch == 1
        )
        if is_open or not follows:
            return Outcome.EPOCH_TAKEN
        unrevoked = self.unrevoked(keyring.patient, keyring.custodian)
        may = {g.grantee for g in unrevoked} | {keyring.custodian}
        must = {g.grantee for g in unrevoked if time_ms < g.rule.until_ms} | {keyring.custodian}
        got = {key.member for key in keyring.sealed_keys}
        fits = all(m in got for m in must) and all(m in may for m in got)
        return Outcome.APPLIED if fits else Outcome.WRONG_GRANTEES

    def judge_grant(self, time_ms: int, grant: Grant) -> Outcome:
        if self.open_epoch(grant.patient, grant.custodian) != (grant.keyring_epoch, grant.key_id):
            return Outcome.EPOCH_CLOSED
        taken = [
            e
            for e in self.events
            if isinstance(e.happening, Grant)
            and (e.happening.patient, e.happening.grant_id) == (grant.patient, grant.grant_id)
        ]
        others = [member for member in self.members if member != grant.custodian]
        someone = grant.rule.principals or [r for r in grant.rule.roles if r.name in READERS]
        if taken or grant.grantee not in others or not someone or time_ms >= grant.rule.until_ms:
            return Outcome.GRANT_INVALID
        return Outcome.APPLIED

    def judge_reading(
        self, time_ms: int, member: MemberId, body: Body, reading: Reading
    ) -> Outcome:
        if body.actor.role.name not in READERS:
            return Outcome.NOT_PERMITTED
        records = self.records(reading.patient)

        def is_open(record: Record) -> bool:
            return self.is_open(time_ms, member, body, reading.purpose, record)

        if isinstance(reading.scope, Page):
            if not any(is_open(record) for _, record in records):
                return Outcome.NOT_OPEN
            below = [record for leaf, record in records if leaf < reading.scope.before]
            page = below[::-1][: reading.scope.size]
            released = [record.record_id for record in page if is_open(record)]
        else:
            named = [record for _, record in records if record.record_id == reading.scope]
            if not named:
                return Outcome.UNKNOWN_RECORD
            if not is_open(named[0]):
                return Outcome.NOT_OPEN
            released = [named[0].record_id]
        stale = list(reading.record_ids) != released
        return Outcome.READING_STALE if stale else Outcome.APPLIED

    def is_open(
        self, time_ms: int, member: MemberId, body: Body, purpose: Purpose, record: Record
    ) -> bool:
        if record.custodian == member:
            return True
        for grant in self.unrevoked(record.patient, record.custodian):
            named = body.actor.role in grant.rule.roles
            named = named or body.actor.principal in grant.rule.principals
            to_reader = grant.grantee == member and named and grant.rule.purpose == purpose
            if to_reader and time_ms < grant.rule.until_ms:
                return True
        return False

    def records(self, patient: Patient) -> list[tuple[int, Record]]:
        return [
            (e.leaf, e.happening)
            for e in self.events
            if isinstance(e.happening, Record) and e.happening.patient == patient
        ]

    def unrevoked(self, patient: Patient, custodian: MemberId) -> list[Grant]:
        standing: list[Grant] = []
        for event in self.events:
            happening = event.happening
            if isinstance(happening, Grant | Revoke) and (
                happening.patient,
                happening.custodian,
            ) == (patient, custodian):
                standing = [g for g in standing if g.grant_id != happening.grant_id]
                if isinstance(happening, Grant):
                    standing.append(happening)
        return standing

    def open_epoch(self, patient: Patient, custodian: MemberId) -> tuple[int, bytes] | None:
        found: tuple[int, bytes] | None = None
        for event in self.events:
            happening = event.happening
            if isinstance(happening, Keyring | Revoke) and (
                happening.patient,
                happening.custodian,
            ) == (patient, custodian):
                found = None
                if isinstance(happening, Keyring):
                    found = (happening.epoch, happening.key_id)
        return found
