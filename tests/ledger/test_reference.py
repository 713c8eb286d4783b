"""Random scripts, judged by the ledger and by the slow reference: never two opinions."""

import random
from collections import Counter
from dataclasses import replace
from typing import Final, TypeVar

import pytest
from caretree.ledger.access import Reader
from caretree.ledger.authoring import Draft, Request
from caretree.ledger.blocks import block_ref
from caretree.ledger.chain import check_chain
from caretree.ledger.key_paths import EpochKey
from caretree.ledger.stored_blocks import load_block
from caretree.ledger.values import (
    FIRST_PAGE_BEFORE,
    Actor,
    HeldBlock,
    Outcome,
    Page,
    Patient,
    Purpose,
    ReplaceReason,
    Replaces,
    Role,
)
from caretree.model.ids import Digest, MemberId, RecordId
from caretree.storage.keys import Owner, Table

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.ledger.people import OTHER_PATIENT, PATIENT, actor, reader
from tests.ledger.reference import Reference
from tests.ledger.replays import replay, rows_of
from tests.ledger.worlds import Step, World

MEMBERS: Final = (TOWN, HOSPITAL, OFFICE)
PATIENTS: Final = (PATIENT, OTHER_PATIENT)
GRANT_MS: Final = 30_000
MOVES: Final = ("record", "record", "keyring", "grant", "revoke", "read", "read", "one", "denial")

Chosen = TypeVar("Chosen")


class Player:
    """Three members who mostly do what they may; now and then one slips."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.world = World()
        self.reference = Reference(MEMBERS)
        self.keys: dict[tuple[MemberId, Patient], EpochKey] = {}  # newest, perhaps refused
        self.records = [bytes(16)]
        self.grants = [(TOWN, PATIENT, bytes(16))]
        self.requests: list[Request] = []
        self.seen: Counter[Outcome] = Counter()

    def play_block(self) -> None:
        """A block of a few entries; each is judged twice."""
        world = self.world
        time_ms = world.head.time_ms + self.random.choice((1, 1000, GRANT_MS // 2))
        entries = [self.move() for _ in range(self.random.randint(1, 4))]
        if self.slips():
            entries.append(entries[0])
        batches = [world.batch(member, draft) for member, draft in entries]
        applied = world.add_block(world.block(*batches, time_ms=time_ms))
        leaf: int = applied.place.first_leaf
        for (member, draft), outcome in zip(entries, applied.outcomes, strict=True):
            assert outcome is self.reference.judge(time_ms, member, draft.body), draft.body
            self.seen[outcome] += 1
            if outcome is Outcome.APPLIED:
                self.reference.add(time_ms, leaf, member, draft.body)
                leaf += 1
        assert leaf == applied.place.seal_index

    def move(self) -> tuple[MemberId, Draft]:
        member, whose = self.pick(MEMBERS), self.pick(PATIENTS)
        kind = self.pick(MOVES)
        if (member, whose) not in self.keys and not self.slips():
            kind = "keyring"
        match kind:
            case "record":
                draft = self.record(member, whose)
            case "keyring":
                draft = self.keyring(member, whose)
            case "grant":
                draft = self.grant(member, whose)
            case "revoke":
                member, draft = self.revoke(member)
            case "read" | "one":
                draft = self.reading(self.reader(member), whose, whole=kind == "read")
            case _:
                draft = self.world.denial(member, *PATIENTS[: self.random.randint(1, 2)])
        if self.slips():
            member = self.pick(MEMBERS)
            payload, who = draft.opening.payload, draft.body.actor
            draft = self.world.entry(member, draft.body.happening, who, payload=payload)
        return member, draft

    def record(self, member: MemberId, whose: Patient) -> Draft:
        record_id = self.pick(self.records) if self.slips() else self.world.new_id()
        replaces = None
        if self.random.random() < 0.3:
            earlier = RecordId(self.pick(self.records[-4:]))
            replaces = Replaces(record_id=earlier, reason=self.pick(tuple(ReplaceReason)))
        self.records.append(record_id)
        return self.world.record(
            member,
            whose,
            self.key(member, whose),
            record_id=record_id,
            replaces=replaces,
            request=self.request(),
        )

    def keyring(self, member: MemberId, whose: Patient) -> Draft:
        previous = self.keys.get((member, whose))
        if self.slips():
            previous = None if previous is None else replace(previous, epoch=previous.epoch + 1)
        to = self.random.sample(MEMBERS, self.random.randint(1, 3)) if self.slips() else None
        draft, key = self.world.keyring(member, whose, previous=previous, to=to, who=self.actor())
        if self.reference.judge(self.world.next_ms, member, draft.body) is Outcome.APPLIED:
            self.keys[member, whose] = key
        return draft

    def grant(self, member: MemberId, whose: Patient) -> Draft:
        grant_id = self.pick(self.grants)[2] if self.slips() else self.world.new_id()
        self.grants.append((member, whose, grant_id))
        others = [other for other in MEMBERS if other != member]
        someone = self.random.random() < 0.5
        rule = self.world.rule(
            roles=[self.pick(tuple(Role))] if someone or self.slips() else [],
            principals=[] if someone else ["doctor-li"],
            purpose=self.purpose(),
            for_ms=-GRANT_MS if self.slips() else GRANT_MS,
        )
        grantee = member if self.slips() else self.pick(others)
        key = self.key(member, whose)
        return self.world.grant(
            member, whose, key, grantee, rule=rule, who=self.actor(), grant_id=grant_id
        )

    def revoke(self, member: MemberId) -> tuple[MemberId, Draft]:
        giver, whose, grant_id = self.pick(self.grants[-3:])
        by = member if self.slips() else giver
        return by, self.world.revoke(by, whose, grant_id, who=self.actor())

    def reading(self, by: Reader, whose: Patient, *, whole: bool) -> Draft:
        if not whole:
            record_id = RecordId(self.pick(self.records[-4:]))
            named = [] if self.slips() else [record_id]
            return self.world.reading(by, whose, named, scope=record_id)
        before = self.pick((FIRST_PAGE_BEFORE, FIRST_PAGE_BEFORE, self.world.head.tree_size // 2))
        page = Page(before=before, size=self.pick((1, 3, 100)))
        if self.slips():
            return self.world.reading(by, whose, [], scope=page)
        return self.world.fresh_reading(by, whose, page)

    def key(self, member: MemberId, whose: Patient) -> EpochKey:
        keys = list(self.keys.values())
        if self.slips() and keys:
            return self.pick(keys)
        return self.keys.get((member, whose)) or EpochKey(epoch=1, key_id=NO_ID, key=bytes(32))

    def request(self) -> Request:
        """Mostly a new one, else an earlier one, in part with another digest."""
        request = self.world.request(self.actor())
        if self.requests and self.slips():
            request = self.pick(self.requests)
            if self.random.random() < 0.5:
                request = replace(request, request_digest=Digest(bytes(32)))
        self.requests.append(request)
        return request

    def reader(self, member: MemberId) -> Reader:
        who = self.actor()
        return reader(member, role=who.role, principal=who.principal, purpose=self.purpose())

    def actor(self) -> Actor:
        role = self.pick(tuple(Role)) if self.slips() else Role.PHYSICIAN
        return actor(role, self.pick(("doctor-li", "doctor-wang")))

    def purpose(self) -> Purpose:
        return Purpose.PAYMENT if self.slips() else Purpose.TREATMENT

    def slips(self) -> bool:
        return self.random.random() < 0.12

    def pick(self, choices: "tuple[Chosen, ...] | list[Chosen]") -> Chosen:
        return self.random.choice(choices)


NO_ID: Final = World().keyring(TOWN, PATIENT)[1].key_id


def check(player: Player) -> None:
    """The chain as played is sound, and the same when applied again out of the store."""
    world = player.world

    def stored(step: Step) -> HeldBlock:
        block = load_block(world.store, block_ref(step.held.block))
        assert block is not None
        return world.hold(block)

    assert check_chain(world.store, world.rules) == world.head
    again = replay(world, stored)
    assert again.head == world.head
    for table in Table:
        if table.owner is Owner.APPLY:
            assert rows_of(again.store, table) == rows_of(world.store, table), table


@pytest.mark.parametrize("seed", range(12))
def test_the_ledger_and_the_reference_judge_alike(seed: int) -> None:
    player = Player(seed)

    for _ in range(40):
        player.play_block()

    check(player)


@pytest.mark.slow
def test_many_scripts_are_judged_alike_and_reach_every_outcome() -> None:
    seen: Counter[Outcome] = Counter()
    for seed in range(100, 180):
        player = Player(seed)
        for _ in range(50):
            player.play_block()
        check(player)
        seen += player.seen

    # What does not parse is no move of this game.
    assert {outcome for outcome, times in seen.items() if times >= 15} == {*Outcome} - {
        Outcome.MALFORMED
    }, seen
