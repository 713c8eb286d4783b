"""A peer's entries on their way: bounded, signed in batches, followed up until told."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import pytest_asyncio
from caretree.ledger.batches import assemble_batch, entry_bytes_max
from caretree.ledger.holding import hold_batch
from caretree.ledger.values import Outcome
from caretree.model.ids import PeerId
from caretree.model.reasons import CallError, Reason
from caretree.node import author as authoring
from caretree.node.author import BATCH_ENTRIES_MAX, UNDER_WAY_MAX, Author, Fate, Submission
from caretree.raft.messages import NO_PEER

from tests.ledger.builders import HOSPITAL, TOWN
from tests.ledger.people import PATIENT
from tests.node.author_desk import LEADER, Desk

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """A desk whose author reads the desk's clock."""
    holder: list[Desk] = []
    monkeypatch.setattr(Author, "_now", staticmethod(lambda: holder[0].now if holder else 1000.0))
    made = Desk()
    holder.append(made)
    yield made


@contextmanager
def refused(reason: Reason) -> Iterator[None]:
    with pytest.raises(CallError) as caught:
        yield
    assert caught.value.reason is reason


def reasons(submission: Submission) -> set[Reason]:
    found = set()
    for told in submission.told:
        assert isinstance(told, CallError)
        found.add(told.reason)
    return found


def fates(*submissions: Submission) -> list[Fate]:
    found = []
    for submission in submissions:
        for told in submission.told:
            assert isinstance(told, Fate)
            found.append(told)
    return found


async def test_entries_of_one_turn_go_into_one_batch_in_order(desk: Desk) -> None:
    desk.lead()
    drafts = desk.drafts(5)
    first = desk.author.submit(drafts[:2])
    second = desk.author.submit(drafts[2:])
    await desk.turn()
    ((leader, batch),) = desk.given
    assert leader == LEADER
    assert list(batch.leaves) == [draft.leaf for draft in drafts]
    await desk.order(batch)
    told = fates(first, second)
    assert [fate.outcome for fate in told] == [Outcome.APPLIED] * 5
    places = [fate.position.place for fate in told if fate.position]
    assert places == [0, 1, 2, 3, 4]


async def test_fates_are_told_by_place_among_all_batches_of_the_block(desk: Desk) -> None:
    desk.lead()
    submission = await desk.submit(2)
    other = desk.world.batch(HOSPITAL, *(desk.world.denial(HOSPITAL, PATIENT) for _ in range(3)))
    await desk.order(other, desk.given[0][1])
    places = [fate.position.place for fate in fates(submission) if fate.position]
    assert places == [3, 4]


async def test_a_refused_entry_is_told_its_outcome_and_no_position(desk: Desk) -> None:
    desk.lead()
    draft = desk.world.revoke(TOWN, PATIENT, b"g" * 16)
    submission = desk.author.submit([draft])
    await desk.turn()
    await desk.order(desk.given[0][1])
    (fate,) = fates(submission)
    assert fate == Fate(outcome=Outcome.UNKNOWN_GRANT, position=None)


async def test_nothing_is_handed_over_without_a_leader_or_a_majority(desk: Desk) -> None:
    await desk.submit()
    desk.author.on_leader(LEADER)
    await desk.turn()
    assert desk.given == []
    desk.author.on_majority(in_reach=True)
    await desk.turn()
    assert len(desk.given) == 1


async def test_a_new_leader_is_given_all_that_is_under_way_again(desk: Desk) -> None:
    desk.lead()
    await desk.submit()
    desk.author.on_leader(PeerId(78))
    await desk.turn()
    assert [leader for leader, _ in desk.given] == [LEADER, 78]
    assert desk.given[0][1] is desk.given[1][1]


async def test_batches_of_a_void_block_are_handed_over_again(desk: Desk) -> None:
    desk.lead()
    submission = await desk.submit()
    await desk.void(desk.given[0][1])
    assert submission.told == [None]
    assert len(desk.given) == 2
    await desk.order(desk.given[1][1])
    assert fates(submission)[0].outcome is Outcome.APPLIED


async def test_a_refused_batch_is_handed_over_again_after_the_delay_and_not_sooner(
    desk: Desk,
) -> None:
    desk.lead()
    await desk.submit()
    desk.author.refused(desk.given[0][1].signature, retry_after_ms=500)
    desk.author.refused(b"of no batch here", retry_after_ms=500)
    await desk.submit()
    desk.pass_time(0.4)
    await desk.turn()
    assert [batch for _, batch in desk.given].count(desk.given[0][1]) == 1
    desk.pass_time(0.1)
    await desk.turn()
    assert [batch for _, batch in desk.given].count(desk.given[0][1]) == 2


async def test_a_new_leader_is_asked_at_once_whatever_the_old_one_said(desk: Desk) -> None:
    desk.lead()
    await desk.submit()
    desk.author.refused(desk.given[0][1].signature, retry_after_ms=500)
    desk.lead()
    await desk.turn()
    assert len(desk.given) == 2


async def test_what_got_no_answer_is_handed_over_again_after_a_while(desk: Desk) -> None:
    desk.lead()
    await desk.submit()
    desk.pass_time(authoring.RESEND_AFTER_S)
    await desk.turn()
    assert len(desk.given) == 1
    desk.pass_time(0.01)
    await desk.turn()
    assert len(desk.given) == 2


async def test_without_a_leader_what_waits_is_given_up_within_two_seconds(desk: Desk) -> None:
    submission = await desk.submit(3)
    desk.pass_time(authoring.STUCK_S - 0.01)
    assert submission.told == [None, None, None]
    desk.pass_time(0.01)
    assert reasons(submission) == {Reason.NO_QUORUM}
    assert (desk.author.queued_entries, desk.author.queued_bytes) == (0, 0)
    with refused(Reason.NO_QUORUM):
        desk.author.submit(desk.drafts(1))
    desk.lead()
    await desk.submit()
    assert len(desk.given) == 1


async def test_what_was_handed_over_is_unknown_and_followed_up_all_the_same(desk: Desk) -> None:
    desk.lead()
    submission = await desk.submit()
    desk.author.on_leader(NO_PEER)
    desk.pass_time(authoring.STUCK_S)
    assert reasons(submission) == {Reason.OUTCOME_UNKNOWN}
    desk.author.on_leader(PeerId(78))
    await desk.turn()
    assert len(desk.given) == 2
    await desk.order(desk.given[1][1])
    desk.pass_time(60)
    await desk.turn()
    assert len(desk.given) == 2


async def test_what_was_signed_but_not_handed_over_is_given_up(desk: Desk) -> None:
    desk.open = False
    desk.lead()
    submission = await desk.submit()
    desk.author.on_leader(NO_PEER)
    desk.pass_time(authoring.STUCK_S)
    assert reasons(submission) == {Reason.NO_QUORUM}
    desk.open = True
    desk.author.on_leader(LEADER)
    await desk.turn()
    assert desk.given == []


async def test_a_call_made_as_the_leader_falls_silent_is_answered_within_two_seconds(
    desk: Desk,
) -> None:
    desk.open = False
    desk.lead()
    submission = await desk.submit()
    desk.pass_time(1.6)  # so long may pass until the silence is noticed
    desk.author.on_leader(NO_PEER)
    desk.pass_time(0.1)
    assert submission.told == [None]
    desk.pass_time(0.2)
    assert reasons(submission) == {Reason.NO_QUORUM}


async def test_the_queue_is_full_at_its_bound(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    drafts = desk.drafts(4)
    size = sum(entry_bytes_max(draft.opening) for draft in drafts)
    monkeypatch.setattr(authoring, "POOL_BYTES_MAX", size)
    desk.author.submit(drafts)
    assert desk.author.queued_bytes == size
    with refused(Reason.OVERLOADED):
        desk.author.submit(desk.drafts(1))
    assert desk.author.queued_entries == 4

    monkeypatch.setattr(authoring, "POOL_BYTES_MAX", size - 1)
    desk.author._queue.clear()
    desk.author._queued_bytes = 0
    with refused(Reason.OVERLOADED):
        desk.author.submit(drafts)
    assert desk.author.queued_entries == 0


async def test_batches_are_cut_at_their_bound_of_entries(desk: Desk) -> None:
    desk.lead()
    await desk.submit(BATCH_ENTRIES_MAX + 1)
    assert [len(batch.leaves) for _, batch in desk.given] == [BATCH_ENTRIES_MAX]
    await desk.order(desk.given[0][1])
    assert [len(batch.leaves) for _, batch in desk.given] == [BATCH_ENTRIES_MAX, 1]


async def test_batches_are_cut_at_their_bound_of_bytes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts = desk.drafts(4)
    each = entry_bytes_max(drafts[0].opening)
    for bound, expected in ((2 * each, [2, 2]), (2 * each - 1, [1, 1])):
        monkeypatch.setattr(authoring, "BATCH_BYTES_MAX", bound)
        fresh = Desk()
        fresh.lead()
        fresh.author.submit(drafts)
        await fresh.turn()
        assert [len(batch.leaves) for _, batch in fresh.given][:2] == expected


async def test_few_batches_are_under_way_unless_they_are_full(desk: Desk) -> None:
    desk.lead()
    for _ in range(5):
        await desk.submit()
    assert len(desk.given) == authoring.UNDER_WAY_SMALL_MAX
    assert desk.author.queued_entries == 4
    await desk.order(desk.given[0][1])
    assert [len(batch.leaves) for _, batch in desk.given] == [1, 4]


async def test_what_this_peer_has_made_is_held_while_it_is_under_way(desk: Desk) -> None:
    desk.lead()
    await desk.submit()
    batch = desk.given[0][1]
    own = desk.author.held(batch)
    assert own is not None
    assert tuple(own) == hold_batch(batch, desk.world.rules)
    changed = assemble_batch(
        author=batch.author,
        leaves=batch.leaves,
        signature=batch.signature,
        openings=tuple(replace(each, salt=bytes(32)) for each in batch.openings),
    )
    assert desk.author.held(changed) is None
    await desk.order(batch)
    assert desk.author.held(batch) is None


async def test_full_batches_are_under_way_up_to_their_bound(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authoring, "BATCH_ENTRIES_MAX", 2)
    desk.lead()
    await desk.submit(2 * UNDER_WAY_MAX + 5)
    assert len(desk.given) == UNDER_WAY_MAX
    assert desk.author.queued_entries == 5


async def test_drained_waits_for_every_fate(desk: Desk) -> None:
    desk.lead()
    submission = await desk.submit(2)
    draining = asyncio.create_task(desk.author.drained())
    await desk.turn()
    assert not draining.done()
    await desk.order(desk.given[0][1])
    await draining
    assert len(fates(submission)) == 2


async def test_blocks_of_others_and_of_batches_not_known_here_tell_nothing(desk: Desk) -> None:
    desk.lead()
    submission = await desk.submit()
    unknown = desk.world.batch(TOWN, desk.world.denial(TOWN, PATIENT))
    other = desk.world.batch(HOSPITAL, desk.world.denial(HOSPITAL, PATIENT))
    await desk.order(unknown, other)
    assert submission.told == [None]


async def test_a_listener_is_told_at_once_of_its_entry_alone(desk: Desk) -> None:
    told: list[object] = []
    desk.lead()
    drafts = desk.drafts(3)
    each_bytes = entry_bytes_max(drafts[0].opening)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(authoring, "BATCH_BYTES_MAX", each_bytes)
        submission = desk.author.submit(drafts, {1: told.append})
        await desk.turn()
    await desk.order(desk.given[0][1])
    assert told == []
    await desk.order(desk.given[1][1])
    assert told == [submission.told[1]]
    assert submission.told[2] is None


async def test_who_waits_no_longer_is_told_what_is_known_and_the_rest_goes_on(desk: Desk) -> None:
    desk.lead()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(authoring, "BATCH_ENTRIES_MAX", 1)
        submission = await desk.submit(2)
    await desk.order(desk.given[0][1])
    first, second = await submission.fates(asyncio.get_running_loop().time())
    assert isinstance(first, Fate)
    assert isinstance(second, CallError)
    assert second.reason is Reason.OUTCOME_UNKNOWN
    await desk.order(desk.given[1][1])
    assert len(fates(submission)) == 2


async def test_a_waiting_call_that_is_cancelled_stops_no_entry(desk: Desk) -> None:
    desk.lead()
    submission = await desk.submit()
    call = asyncio.create_task(submission.fates(asyncio.get_running_loop().time() + 60))
    await desk.turn()
    call.cancel()
    await desk.turn()
    await desk.order(desk.given[0][1])
    assert fates(submission)[0].outcome is Outcome.APPLIED
    await desk.author.drained()
