"""Random scripts, judged by the ledger and by the slow reference: never two opinions."""

from collections import Counter
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caretree.ledger.access import Reader
from caretree.ledger.authoring import Draft
from caretree.ledger.blocks import block_ref
from caretree.ledger.chain import check_chain
from caretree.ledger.key_paths import EpochKey
from caretree.ledger.stored_blocks import load_block
from caretree.ledger.values import (
    FIRST_PAGE_BEFORE,
    Outcome,
    Page,
    Patient,
    Purpose,
    ReplaceReason,
    Replaces,
    Role,
)
from caretree.model.ids import Digest, MemberId, RecordId, TimeMs
from caretree.storage.keys import Owner, Table
from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.ledger.people import OTHER_PATIENT, PATIENT, actor, reader
from tests.ledger.reference import Reference
from tests.ledger.replays import replay, rows_of
from tests.ledger.worlds import World

MEMBERS = (TOWN, HOSPITAL, OFFICE)
PATIENTS = (PATIENT, OTHER_PATIENT)
ROLES = (Role.PHYSICIAN, Role.PHYSICIAN, Role.NURSE, Role.REGISTRAR, Role.AUDITOR)
PURPOSES = (Purpose.TREATMENT, Purpose.TREATMENT, Purpose.PAYMENT)
PRINCIPALS = ("doctor-li", "doctor-wang")
KINDS = ("record", "record", "keyring", "grant", "revoke", "read", "read", "one", "denial")
SLIP_MAX = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What someone tries: numbers that the player makes sense of."""

    kind: str
    member: MemberId
    patient: Patient
    role: Role
    principal: str
    purpose: Purpose
    choice: int
    slip: int  # most values slip nowhere; some make the move wrong in one way
    ends_block: bool
    pause_ms: int


MOVES = st.builds(
    Move,
    kind=st.sampled_from(KINDS),
    member=st.sampled_from(MEMBERS),
    patient=st.sampled_from(PATIENTS),
    role=st.sampled_from(ROLES),
    principal=st.sampled_from(PRINCIPALS),
    purpose=st.sampled_from(PURPOSES),
    choice=st.integers(0, 5),
    slip=st.integers(0, SLIP_MAX),
    ends_block=st.booleans(),
    pause_ms=st.sampled_from((1, 1000, 20_000)),
)


class Player:
    """Plays moves on a world and on the reference, block by block."""

    def __init__(self) -> None:
        self.world = World()
        self.reference = Reference(MEMBERS)
        self.keys: dict[tuple[MemberId, bytes], EpochKey] = {}
        self.records: list[bytes] = [bytes(16)]
        self.grants: list[bytes] = [bytes(16)]
        self.waiting: list[tuple[MemberId, Draft]] = []
        self.seen: Counter[Outcome] = Counter()

    def play(self, moves: list[Move]) -> None:
        for move in moves:
            self.waiting.append((move.member, self.draft(move)))
            if move.slip == SLIP_MAX:
                self.waiting.append(self.waiting[-1])  # the same entry twice
            if move.ends_block:
                self.end_block(move.pause_ms)
        self.end_block(1)

    def end_block(self, pause_ms: int) -> None:
        if not self.waiting:
            return
        world, waiting, self.waiting = self.world, self.waiting, []
        batches = [world.batch(member, draft) for member, draft in waiting]
        time_ms = world.head.time_ms + pause_ms
        applied = world.add_block(world.block(*batches, time_ms=time_ms))
        leaf = applied.place.first_leaf
        for (member, draft), outcome in zip(waiting, applied.outcomes, strict=True):
            assert outcome is self.reference.judge(time_ms, member, draft.body), draft.body
            self.seen[outcome] += 1
            if outcome is Outcome.APPLIED:
                self.reference.add(time_ms, leaf, member, draft.body)
                leaf += 1

    def draft(self, move: Move) -> Draft:
        draft = self.happening(move)
        if move.slip == SLIP_MAX - 1 and self.reference.events:
            earlier = self.reference.events[move.choice % len(self.reference.events)]
            request = self.world.request(
                actor(move.role, move.principal), request_id=earlier.body.request_id
            )
            changed = replace(request, request_digest=Digest(bytes([move.choice % 2] * 32)))
            return self.record(replace_slip(move), self.key(move), request_of=changed.request_id)
        return draft

    def happening(self, move: Move) -> Draft:
        world, who = self.world, actor(move.role, move.principal)
        key = self.key(move)
        match move.kind:
            case "record":
                return self.record(move, key)
            case "keyring":
                return self.keyring(move)
            case "grant":
                return self.grant(move, key)
            case "revoke":
                grant_id = self.grants[-1 - move.choice % len(self.grants)]
                return world.revoke(move.member, move.patient, grant_id, who=who)
            case "read" | "one":
                return self.reading(move, self.reader(move))
            case _:
                return world.denial(move.member, *PATIENTS[: 1 + move.choice % 2], who=who)

    def key(self, move: Move) -> EpochKey:
        whose = (MEMBERS[0], PATIENTS[0].pseudonym) if move.slip == 1 else self.keyring_of(move)
        return self.keys.get(whose) or EpochKey(epoch=1, key_id=NO_KEY.key_id, key=NO_KEY.key)

    def record(self, move: Move, key: EpochKey, *, request_of: bytes | None = None) -> Draft:
        known = self.records[-1 - move.choice % len(self.records)]
        record_id = known if move.slip == 2 else self.world.new_id()
        self.records.append(record_id)
        replaces = None
        if move.slip in {3, 4}:
            reason = ReplaceReason.WRONG_PATIENT if move.slip == 3 else ReplaceReason.CORRECTED
            replaces = Replaces(record_id=RecordId(known), reason=reason)
        who = actor(move.role, move.principal)
        return self.world.record(
            move.member,
            move.patient,
            key,
            who=who,
            record_id=record_id,
            replaces=replaces,
            request=self.world.request(who, request_id=request_of),
        )

    def keyring(self, move: Move) -> Draft:
        previous = self.keys.get(self.keyring_of(move))
        to = {5: MEMBERS, 6: (move.member,)}.get(move.slip)
        draft, key = self.world.keyring(
            move.member,
            move.patient,
            previous=None if move.slip == 7 else previous,
            to=to,
            who=actor(move.role, move.principal),
        )
        draft_is_next = not any(d.body.happening == draft.body.happening for _, d in self.waiting)
        if draft_is_next and self.expect(move, draft) is Outcome.APPLIED:
            self.keys[self.keyring_of(move)] = key
        return draft

    def grant(self, move: Move, key: EpochKey) -> Draft:
        known = self.grants[-1 - move.choice % len(self.grants)]
        grant_id = known if move.slip == 5 else self.world.new_id()
        self.grants.append(grant_id)
        names = (move.principal,) if move.choice % 2 else ()
        roles = () if move.choice % 2 else (move.role, Role.AUDITOR)
        return self.world.grant(
            move.member,
            move.patient,
            key,
            MEMBERS[(MEMBERS.index(move.member) + move.choice) % 3],
            rule=self.world.rule(
                roles=roles if move.slip != 6 else (),
                principals=names,
                purpose=move.purpose,
                for_ms=30_000 if move.slip != 7 else -50_000,
            ),
            who=actor(),
            grant_id=grant_id,
        )

    def reading(self, move: Move, by: Reader) -> Draft:
        if move.kind == "one":
            record_id = RecordId(self.records[-1 - move.choice % len(self.records)])
            named = [] if move.slip == 8 else [record_id]
            return self.world.reading(by, move.patient, named, scope=record_id)
        before = self.world.head.tree_size if move.choice == 5 else FIRST_PAGE_BEFORE
        page = Page(before=before, size=1 + move.choice)
        draft = self.world.fresh_reading(by, move.patient, page)
        return self.world.reading(by, move.patient, [], scope=page) if move.slip == 8 else draft

    def expect(self, move: Move, draft: Draft) -> Outcome:
        return self.reference.judge(TimeMs(self.world.next_ms), move.member, draft.body)

    @staticmethod
    def reader(move: Move) -> Reader:
        return reader(
            move.member, role=move.role, principal=move.principal, purpose=move.purpose
        )

    @staticmethod
    def keyring_of(move: Move) -> tuple[MemberId, bytes]:
        return move.member, move.patient.pseudonym


def replace_slip(move: Move) -> Move:
    return replace(move, slip=0)


NO_KEY = World().keyring(TOWN, PATIENT)[1]


def check(player: Player) -> None:
    """The chain as played is sound, and the same when applied again from the store."""
    world = player.world
    assert check_chain(world.store, world.rules) == world.head
    again = replay(world, lambda step: world.hold(load_block_of(world, step.held.block)))
    assert again.head == world.head
    for table in Table:
        if table.owner is Owner.APPLY:
            assert rows_of(again.store, table) == rows_of(world.store, table), table


def load_block_of(world: World, block):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    loaded = load_block(world.store, block_ref(block))
    assert loaded is not None
    return loaded


@settings(max_examples=30, deadline=None)
@given(st.lists(MOVES, min_size=1, max_size=40))
def test_the_ledger_and_the_reference_judge_alike(moves: list[Move]) -> None:
    player = Player()

    player.play(moves)

    check(player)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.lists(MOVES, min_size=60, max_size=120))
def test_long_scripts_are_judged_alike(moves: list[Move]) -> None:
    player = Player()

    player.play(moves)

    check(player)
