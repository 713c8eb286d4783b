"""The keys to write with: kept, bounded, and never older than the last applied block."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from caretree.crypto.x25519 import SealingKey
from caretree.ledger.authoring import Draft
from caretree.ledger.key_paths import EpochKey
from caretree.ledger.values import Outcome, Patient
from caretree.model.ids import MemberId
from caretree.model.reasons import CallError, Reason
from caretree.node import keyrings as keeping
from caretree.node.keyrings import Keyrings
from typing_extensions import override

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN, FixedCustody
from tests.ledger.people import OTHER_PATIENT, PATIENT, patient
from tests.ledger.worlds import World

pytestmark = pytest.mark.asyncio
FAR = 1e12


class CountingCustody(FixedCustody):
    """Counts what HPKE was asked."""

    def __init__(self) -> None:
        super().__init__(5)
        self.sealed = 0
        self.opened = 0

    @override
    def seal_to(self, public_key: bytes, *, info: bytes, secret: bytes) -> bytes:
        self.sealed += 1
        return super().seal_to(public_key, info=info, secret=secret)

    @override
    def open_sealed(self, sealing_key: SealingKey, *, info: bytes, sealed: bytes) -> bytes:
        self.opened += 1
        return super().open_sealed(sealing_key, info=info, sealed=sealed)


@dataclass(slots=True)
class Bench:
    """The town's keyrings beside a ledger."""

    world: World = field(default_factory=lambda: World(quick=False))
    custody: CountingCustody = field(default_factory=CountingCustody)
    keyrings: Keyrings = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.keyrings = Keyrings(
            reads=self.world.store,
            genesis=self.world.rules,
            author=self.world.author(TOWN),
            custody=self.custody,
            sealing_key=self.world.consortium[TOWN].sealing,
        )

    async def prepare(self, *patients: Patient, deadline: float = FAR) -> keeping.Prepared:
        return await self.keyrings.prepare(patients, self.world.next_ms, deadline=deadline)

    def open(self, whose: Patient, prepared: keeping.Prepared) -> tuple[EpochKey, Draft]:
        request = self.world.request()
        return self.keyrings.open_epoch(request, whose, self.world.next_ms, prepared)

    async def opened(self, whose: Patient) -> EpochKey:
        """An epoch opened, ordered and applied."""
        key, draft = self.open(whose, await self.prepare(whose))
        self.order(draft)
        return key

    def order(self, *drafts: Draft, by: MemberId = TOWN) -> tuple[Outcome, ...]:
        applied = self.world.add(by, *drafts)
        self.keyrings.on_applied(self.world.steps[-1].held, applied.outcomes)
        return applied.outcomes

    def revoked(self, whose: Patient, key: EpochKey, *, grantee: MemberId = HOSPITAL) -> None:
        """A grant given and taken back, which closes the epoch."""
        grant_id = self.world.new_id()
        self.order(self.world.grant(TOWN, whose, key, grantee, grant_id=grant_id))
        assert self.order(self.world.revoke(TOWN, whose, grant_id)) == (Outcome.APPLIED,)


async def test_the_key_of_an_epoch_opened_here_is_never_opened_again() -> None:
    bench = Bench()
    key = await bench.opened(PATIENT)
    assert bench.keyrings.key_at_hand(PATIENT) == key
    assert bench.keyrings.key(TOWN, PATIENT, 1) == key
    assert (bench.custody.sealed, bench.custody.opened) == (1, 0)
    assert await bench.prepare(PATIENT) == {}


async def test_after_a_start_each_key_is_opened_once() -> None:
    bench = Bench()
    key = await bench.opened(PATIENT)
    bench.restart()
    assert await bench.prepare(PATIENT, PATIENT) == {}
    for _ in range(3):
        assert bench.keyrings.key_at_hand(PATIENT) == key
    assert bench.custody.opened == 1


async def test_after_a_revoke_nothing_is_written_under_the_closed_epoch() -> None:
    bench = Bench()
    first = await bench.opened(PATIENT)
    bench.revoked(PATIENT, first)
    assert bench.keyrings.key_at_hand(PATIENT) is None
    second = await bench.opened(PATIENT)
    assert (second.epoch, bench.keyrings.key_at_hand(PATIENT)) == (2, second)
    bench.restart()
    assert bench.keyrings.key_at_hand(PATIENT) == second


async def test_an_epoch_opened_and_closed_in_one_block_is_not_written_under() -> None:
    bench = Bench()
    key, opening = bench.open(PATIENT, await bench.prepare(PATIENT))
    grant_id = bench.world.new_id()
    grant = bench.world.grant(TOWN, PATIENT, key, HOSPITAL, grant_id=grant_id)
    revoke = bench.world.revoke(TOWN, PATIENT, grant_id)
    assert bench.order(opening, grant, revoke) == (Outcome.APPLIED,) * 3
    assert bench.keyrings.key_at_hand(PATIENT) is None


async def test_the_revokes_and_keyrings_of_another_member_close_nothing_here() -> None:
    bench = Bench()
    key = await bench.opened(PATIENT)
    theirs, their_key = bench.world.keyring(HOSPITAL, PATIENT)
    grant_id = bench.world.new_id()
    bench.order(theirs, by=HOSPITAL)
    grant = bench.world.grant(HOSPITAL, PATIENT, their_key, TOWN, grant_id=grant_id)
    bench.order(grant, by=HOSPITAL)
    bench.order(bench.world.revoke(HOSPITAL, PATIENT, grant_id), by=HOSPITAL)
    assert bench.keyrings.key_at_hand(PATIENT) == key
    assert bench.custody.opened == 0


async def test_an_epoch_that_is_refused_leaves_no_key_behind() -> None:
    bench = Bench()
    mine, opening = bench.open(PATIENT, await bench.prepare(PATIENT))
    other, key = bench.world.keyring(TOWN, PATIENT)
    assert bench.order(other, opening) == (Outcome.APPLIED, Outcome.EPOCH_TAKEN)
    bench.keyrings.settled(PATIENT, mine)
    assert bench.keyrings.key_at_hand(PATIENT) == key


async def test_a_doubted_key_is_looked_up_anew() -> None:
    bench = Bench()
    key = await bench.opened(PATIENT)
    bench.keyrings._writing[PATIENT.pseudonym] = EpochKey(epoch=7, key_id=key.key_id, key=key.key)
    bench.keyrings.doubt(PATIENT)
    assert bench.keyrings.key_at_hand(PATIENT) == key


async def test_what_was_prepared_is_used_as_long_as_it_fits() -> None:
    bench = Bench()
    prepared = await bench.prepare(PATIENT, OTHER_PATIENT, PATIENT)
    assert (len(prepared), bench.custody.sealed) == (2, 2)
    key, _ = bench.open(PATIENT, prepared)
    assert key == prepared[PATIENT.pseudonym].epoch_key
    assert bench.keyrings.key_at_hand(PATIENT) == key
    assert bench.custody.sealed == 2


async def test_what_was_prepared_for_who_lost_its_grant_meanwhile_is_not_used() -> None:
    bench = Bench()
    first = await bench.opened(PATIENT)
    offices = bench.world.new_id()
    bench.order(bench.world.grant(TOWN, PATIENT, first, OFFICE, grant_id=offices))
    bench.revoked(PATIENT, first)
    prepared = await bench.prepare(PATIENT)
    holders = {each.member for each in prepared[PATIENT.pseudonym].keyring.sealed_keys}
    assert holders == {TOWN, OFFICE}
    bench.order(bench.world.revoke(TOWN, PATIENT, offices))
    key, draft = bench.open(PATIENT, prepared)
    assert key != prepared[PATIENT.pseudonym].epoch_key
    assert bench.order(draft) == (Outcome.APPLIED,)


async def test_what_was_prepared_for_an_epoch_that_another_call_opened_is_not_used() -> None:
    bench = Bench()
    late = await bench.prepare(PATIENT)
    first = await bench.opened(PATIENT)
    bench.revoked(PATIENT, first)
    key, draft = bench.open(PATIENT, late)
    assert key.epoch == 2
    assert bench.order(draft) == (Outcome.APPLIED,)


async def test_the_loop_has_a_turn_after_each_key_however_many_calls_prepare() -> None:
    bench = Bench()
    turns: list[int] = []

    async def watch() -> None:
        while True:
            turns.append(bench.custody.sealed)
            await asyncio.sleep(0)

    async def call(names: Iterable[int]) -> None:
        await bench.prepare(*(patient(f"P{name}") for name in names))

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(call(range(start, start + 8)) for start in (0, 8, 16)))
    watching.cancel()
    assert bench.custody.sealed == 24
    assert max(after - before for before, after in pairwise(turns)) == 1


async def test_a_call_prepares_no_longer_than_its_deadline() -> None:
    bench = Bench()
    with pytest.raises(CallError) as caught:
        await bench.prepare(PATIENT, deadline=0.0)
    assert caught.value.reason is Reason.OVERLOADED
    assert caught.value.retry_after_ms
    assert bench.custody.sealed == 0
    assert (await bench.opened(PATIENT)).epoch == 1


async def test_no_more_keys_are_kept_than_the_bounds_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "WRITING_KEYS_MAX", 2)
    monkeypatch.setattr(keeping, "CACHED_KEYS_MAX", 3)
    bench = Bench()
    patients = [patient(f"P{number}") for number in range(5)]
    keys = [await bench.opened(each) for each in patients]
    assert (len(bench.keyrings._writing), len(bench.keyrings._cache)) == (2, 3)
    # The one used last stays; what went is opened again when it is asked for.
    assert bench.keyrings.key_at_hand(patients[3]) == keys[3]
    assert bench.keyrings.key_at_hand(patients[0]) == keys[0]
    assert patients[3].pseudonym in bench.keyrings._writing
    assert patients[4].pseudonym not in bench.keyrings._writing
    assert bench.custody.opened == 1
