"""What the Raft paper says of the log, one claim each."""

from dataclasses import replace

import pytest
from caretree.model.ids import LogIndex, PeerId
from caretree.raft.errors import (
    DropReason,
    LogLostError,
    ProposalDroppedError,
    TruncationRefusedError,
)
from caretree.raft.messages import (
    EntryType,
    Message,
    MessageType,
    SnapshotMeta,
)
from caretree.raft.progress import ProgressState

from tests.raft.builders import (
    CONFIG,
    Driven,
    acknowledge,
    append,
    elect,
    elect_and_commit,
    entry,
    log_of,
    make,
    message,
    only,
    propose,
)

T = MessageType


def _leader(**limits: int) -> Driven:
    driven = make(config=replace(CONFIG, **limits))  # type: ignore[arg-type]  # whole numbers
    elect_and_commit(driven)
    return driven


def test_5_3_a_leader_appends_a_proposal_and_sends_it_to_all() -> None:
    driven = _leader()

    to_two, to_three = propose(driven, b"block")

    assert (to_two.to, to_three.to) == (2, 3)
    assert to_two.entries == to_three.entries == (entry(2, 1, b"block"),)
    assert (to_two.index, to_two.log_term, to_two.commit) == (1, 1, 1)
    assert driven.store.all_entries()[-1].data == b"block"


def test_5_3_what_a_majority_holds_is_committed_applied_and_told() -> None:
    driven = _leader()
    to_two, _ = propose(driven)

    sent = driven.step(acknowledge(to_two))

    assert driven.applied[-1].data == b"data"
    assert {each.commit for each in only(sent, T.APP)} == {2}


def test_5_3_one_of_three_is_no_majority() -> None:
    driven = _leader()

    propose(driven)

    assert driven.node.basic_status().commit == 1


def test_5_3_a_follower_refuses_an_append_that_does_not_follow_on() -> None:
    driven = make(log=log_of(1, 2), term=2)

    (beyond,) = driven.step(append(term=2, index=5, log_term=2))
    (other,) = driven.step(append(term=3, index=2, log_term=3))

    assert (beyond.reject, beyond.index, beyond.reject_hint) == (True, 5, 2)
    assert (other.reject, other.index, other.reject_hint) == (True, 2, 2)


def test_5_3_a_conflicting_end_is_replaced_and_nothing_else() -> None:
    driven = make(log=log_of(1, 1, 2, 2), term=2)

    driven.step(append(term=3, index=2, log_term=1, entries=[entry(3, 3)]))

    assert driven.store.all_entries() == log_of(1, 1, 3)


def test_5_3_a_late_append_of_a_prefix_truncates_nothing() -> None:
    driven = make(log=log_of(1, 1, 1), term=1)

    driven.step(append(index=0, entries=log_of(1)))

    assert driven.store.all_entries() == log_of(1, 1, 1)


def test_5_3_only_what_the_append_proved_is_acknowledged_and_committed() -> None:
    driven = make(log=log_of(1, 1, 1), term=1)

    (answer,) = driven.step(append(index=0, entries=log_of(1), commit=3))

    assert answer.index == 1
    assert driven.node.basic_status().commit == 1


@pytest.mark.parametrize("terms", [(4, 4, 4), (1, 1, 1, 2, 2, 2), (1, 1, 2, 3, 3, 3), (1, 5)])
def test_5_3_a_leader_and_a_follower_with_any_divergence_come_to_agree(
    terms: tuple[int, ...],
) -> None:
    leader = make(1, log=log_of(1, 1, 2, 4, 4), term=6, config=replace(CONFIG, pre_vote=False))
    follower = make(2, log=log_of(*terms), term=6)
    sent = elect(leader)

    rounds = 0
    while only(sent, T.APP):
        rounds += 1
        to_two = [each for each in only(sent, T.APP) if each.to == 2]
        answers = [answer for each in to_two for answer in follower.step(each)]
        sent = [more for answer in answers for more in leader.step(answer)]

    assert follower.store.all_entries() == leader.store.all_entries()
    assert rounds <= 6


def test_5_3_a_refused_probe_skips_a_whole_term() -> None:
    leader = make(1, log=log_of(1, *[3] * 50), term=3, config=replace(CONFIG, pre_vote=False))
    follower = make(2, log=log_of(1, *[2] * 40), term=3)
    first = next(each for each in elect(leader) if each.to == 2)

    (refusal,) = follower.step(first)
    (second,) = leader.step(refusal)
    (taken,) = follower.step(second)

    assert not taken.reject
    assert second.index == 1


def test_5_3_a_stale_refusal_never_lowers_what_is_known_to_agree() -> None:
    driven = _leader()
    to_two, _ = propose(driven)
    driven.step(acknowledge(to_two))
    before = driven.node.status().progress[PeerId(2)]

    driven.step(replace(message(T.APP_RESP, index=1), reject=True))

    assert driven.node.status().progress[PeerId(2)] == before


def test_5_4_2_an_entry_of_an_earlier_term_is_not_committed_by_counting() -> None:
    driven = make(log=log_of(1, 2), term=2, config=replace(CONFIG, pre_vote=False))
    elect(driven)

    driven.step(message(T.APP_RESP, term=3, index=2))
    driven.step(message(T.APP_RESP, sender=3, term=3, index=2))
    assert driven.node.basic_status().commit == 0
    driven.step(message(T.APP_RESP, term=3, index=3))

    assert driven.node.basic_status().commit == 3
    assert [each.index for each in driven.applied] == [1, 2, 3]


@pytest.mark.parametrize(
    "claim",
    [
        append(term=2, index=1, log_term=1, entries=[entry(2, 2)]),
        append(term=2, index=2, log_term=2),
        append(term=2, index=0, entries=[entry(1, 2), entry(2, 2)]),
    ],
)
def test_5_4_3_a_leader_that_contradicts_a_committed_entry_stops_the_peer(claim: Message) -> None:
    driven = make(log=log_of(1, 1, 1), term=1)
    driven.step(message(T.HEARTBEAT, commit=2))

    with pytest.raises(TruncationRefusedError) as caught:
        driven.node.step(claim)

    assert caught.value.conflict <= caught.value.committed == 2
    assert caught.value.sender == 2
    assert driven.store.all_entries() == log_of(1, 1, 1)


def test_5_4_3_a_late_append_below_the_commit_index_is_acknowledged_to_it() -> None:
    driven = make(log=log_of(1, 1, 1), term=1)
    driven.step(message(T.HEARTBEAT, commit=2))

    (answer,) = driven.step(append(index=0, entries=log_of(1)))

    assert (answer.reject, answer.index) == (False, 2)


def test_a_commit_index_beyond_the_log_means_that_the_log_was_lost() -> None:
    driven = make(log=log_of(1), term=1)

    with pytest.raises(LogLostError):
        driven.node.step(message(T.HEARTBEAT, commit=2))


def test_a_log_shorter_than_what_was_applied_refuses_the_start() -> None:
    with pytest.raises(LogLostError):
        make(log=log_of(1), term=1, config=replace(CONFIG, applied=LogIndex(2)))
    with pytest.raises(LogLostError):
        make(log=log_of(1), term=1, commit=2)


def test_a_restart_hands_out_what_was_committed_and_not_applied() -> None:
    driven = make(
        log=log_of(1, 1, 1), term=1, commit=3, config=replace(CONFIG, applied=LogIndex(1))
    )

    driven.settle()

    assert [each.index for each in driven.applied] == [2, 3]


def test_what_was_applied_counts_as_committed_even_if_that_index_was_lost() -> None:
    driven = make(
        log=log_of(1, 1, 1), term=1, commit=1, config=replace(CONFIG, applied=LogIndex(2))
    )

    assert driven.node.basic_status().commit == 2


def test_an_acknowledgement_beyond_the_log_is_nobodys() -> None:
    driven = _leader()

    driven.step(message(T.APP_RESP, index=1_000))
    driven.step(message(T.APP_RESP, sender=3, index=1_000))

    assert driven.node.basic_status().commit == 1
    assert driven.node.status().progress[PeerId(2)].match == 1


def test_a_follower_does_not_take_proposals_nor_pass_them_on() -> None:
    driven = make(2)
    with pytest.raises(ProposalDroppedError) as caught:
        propose(driven)
    assert caught.value.reason is DropReason.NO_LEADER
    driven.step(message(T.HEARTBEAT, sender=1, to=2))

    with pytest.raises(ProposalDroppedError) as caught:
        propose(driven)

    assert caught.value.reason is DropReason.NOT_LEADER
    assert driven.settle() == []


def _compacted_leader() -> Driven:
    driven = _leader()
    to_two, _ = propose(driven)
    driven.step(acknowledge(to_two))
    snapshot = SnapshotMeta(
        index=LogIndex(2), term=driven.node.term, conf_state=driven.node.conf_state(), data=b"d"
    )
    driven.store.latest_snapshot = snapshot
    driven.store.compact(LogIndex(2))
    return driven


def _lost_its_log() -> Message:
    # Peer 3 acknowledged entry 1 alone, so that what it needs next is gone.
    return message(T.HEARTBEAT_RESP, sender=3)


def test_7_a_follower_behind_the_log_gets_a_snapshot_and_nothing_else() -> None:
    driven = _compacted_leader()
    driven.node.report_unreachable(PeerId(3))

    (sent,) = driven.step(_lost_its_log())

    assert sent.type is T.SNAP
    assert sent.snapshot == driven.store.latest_snapshot
    assert only(propose(driven), T.APP)[0].to == 2
    assert driven.node.status().progress[PeerId(3)].state is ProgressState.SNAPSHOT


@pytest.mark.parametrize(("arrived", "next_index"), [(True, 3), (False, 2)])
def test_7_after_a_snapshot_a_follower_is_probed_from_where_it_stands(
    *, arrived: bool, next_index: int
) -> None:
    driven = _compacted_leader()
    driven.node.report_unreachable(PeerId(3))
    driven.step(_lost_its_log())

    driven.node.report_snapshot(PeerId(3), arrived=arrived)

    progress = driven.node.status().progress[PeerId(3)]
    assert (progress.state, progress.next_index) == (ProgressState.PROBE, next_index)
    assert progress.paused


def test_7_a_snapshot_replaces_the_log_and_is_acknowledged_once_durable() -> None:
    driven = make(3, log=log_of(1), term=1)
    snapshot = SnapshotMeta(
        index=LogIndex(9), term=driven.node.term, conf_state=driven.node.conf_state(), data=b"d"
    )

    driven.node.step(replace(message(T.SNAP, sender=1, to=3), snapshot=snapshot))
    driven.node.campaign()
    ready = driven.do_ready()

    assert ready.snapshot == snapshot
    assert ready.must_sync
    assert [each.index for each in ready.messages_after_persist] == [9]
    assert (driven.store.first_index(), driven.store.last_index()) == (10, 9)
    assert driven.node.basic_status().applied == 9


def test_7_a_snapshot_that_brings_no_news_changes_nothing() -> None:
    driven = make(3, log=log_of(1, 1), term=1)
    driven.step(message(T.HEARTBEAT, sender=1, to=3, commit=1))
    state = driven.node.conf_state()
    old = SnapshotMeta(index=LogIndex(1), term=driven.node.term, conf_state=state, data=b"")
    held = replace(old, index=LogIndex(2))

    (to_old,) = driven.step(replace(message(T.SNAP, sender=1, to=3), snapshot=old))
    (to_held,) = driven.step(replace(message(T.SNAP, sender=1, to=3), snapshot=held))

    assert (to_old.index, to_held.index) == (1, 2)
    assert driven.store.all_entries() == log_of(1, 1)


def test_entries_are_shared_and_never_copied() -> None:
    driven = _leader()
    to_two, to_three = propose(driven)

    assert to_two.entries[0] is to_three.entries[0]
    driven.step(acknowledge(to_two))
    assert driven.applied[-1] is to_two.entries[0]
    assert driven.applied[-1].type is EntryType.NORMAL
