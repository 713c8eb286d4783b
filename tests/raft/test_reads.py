"""ReadIndex: what is confirmed, by whom, and when (Raft thesis 6.4)."""

from dataclasses import replace

import pytest
from caretree.model.ids import PeerId
from caretree.raft.core import ReadState
from caretree.raft.errors import DropReason, ReadDroppedError
from caretree.raft.messages import Message, MessageType

from tests.raft.builders import (
    CONFIG,
    Driven,
    acknowledge,
    elect,
    elect_and_commit,
    make,
    message,
    only,
    propose,
)

T = MessageType


def _heartbeats(driven: Driven, context: bytes) -> list[Message]:
    driven.node.read_index(context)
    return only(driven.settle(), T.HEARTBEAT)


def _answer(heartbeat: Message) -> Message:
    return Message(
        type=T.HEARTBEAT_RESP,
        sender=heartbeat.to,
        to=heartbeat.sender,
        term=heartbeat.term,
        context=heartbeat.context,
    )


def _read_states(driven: Driven) -> list[tuple[bytes, int]]:
    return [(read.context, read.index) for read in driven.reads]


def test_a_read_is_confirmed_by_a_quorum_that_was_asked_after_it() -> None:
    driven = make()
    elect_and_commit(driven)

    to_two, _ = _heartbeats(driven, b"read")
    assert driven.reads == []
    driven.step(_answer(to_two))

    assert _read_states(driven) == [(b"read", 1)]


def test_an_answer_to_an_earlier_heartbeat_confirms_no_later_read() -> None:
    driven = make()
    elect_and_commit(driven)
    before, _ = _heartbeats(driven, b"first")
    after, _ = _heartbeats(driven, b"second")

    driven.step(_answer(before))
    driven.step(_answer(before))
    assert _read_states(driven) == [(b"first", 1)]
    driven.step(_answer(after))

    assert _read_states(driven) == [(b"first", 1), (b"second", 1)]


def test_an_answer_in_another_term_confirms_nothing() -> None:
    driven = make()
    elect_and_commit(driven)
    old, _ = _heartbeats(driven, b"old")
    driven.step(message(T.HEARTBEAT, term=2))
    elect_and_commit(driven)

    new, _ = _heartbeats(driven, b"new")
    assert new.context == old.context
    driven.step(_answer(old))

    assert driven.reads == []


@pytest.mark.parametrize("context", [b"\x00" * 7 + b"\xff", b"1", b"\xff" * 9])
def test_an_answer_that_names_no_position_given_out_confirms_nothing(context: bytes) -> None:
    driven = make()
    elect_and_commit(driven)
    to_two, _ = _heartbeats(driven, b"read")

    driven.step(replace(_answer(to_two), context=context))

    assert driven.reads == []


def test_8_a_read_waits_for_an_entry_of_the_leaders_own_term() -> None:
    driven = make()
    appends = elect(driven)

    assert _heartbeats(driven, b"read") == []
    sent = driven.step(acknowledge(appends[0]))
    driven.step(_answer(only(sent, T.HEARTBEAT)[0]))

    assert _read_states(driven) == [(b"read", 1)]


def test_8_a_single_voter_waits_for_an_entry_of_its_own_term_too() -> None:
    driven = make(voters=(1,))
    driven.node.campaign()
    while driven.node.lead == 0:
        driven.do_ready()

    driven.node.read_index(b"read")
    assert not driven.raft.read_states
    driven.settle()

    assert _read_states(driven) == [(b"read", 1)]


def test_a_follower_reads_through_its_leader() -> None:
    leader, follower = make(1), make(2)
    elect_and_commit(leader)
    follower.step(message(T.HEARTBEAT, sender=1, to=2))

    follower.node.read_index(b"read")
    (request,) = follower.settle()
    heartbeats = only(leader.step(request), T.HEARTBEAT)
    (response,) = only(leader.step(_answer(heartbeats[1])), T.READ_INDEX_RESP)
    follower.step(response)

    assert _read_states(follower) == [(b"read", 1)]


def test_nobody_but_the_leader_answers_a_read() -> None:
    follower = make(2)
    follower.step(message(T.HEARTBEAT, sender=1, to=2))

    follower.step(replace(message(T.READ_INDEX_RESP, sender=3, to=2, index=9), context=b"read"))

    assert follower.reads == []


def test_without_a_leader_a_read_is_dropped() -> None:
    with pytest.raises(ReadDroppedError) as caught:
        make().node.read_index(b"read")

    assert caught.value.reason is DropReason.NO_LEADER


def test_reads_that_wait_are_bounded() -> None:
    driven = make(config=replace(CONFIG, reads_max=3))
    elect_and_commit(driven)
    for place in range(3):
        driven.node.read_index(b"%d" % place)

    with pytest.raises(ReadDroppedError) as caught:
        driven.node.read_index(b"3")
    driven.step(replace(message(T.READ_INDEX, sender=2), context=b"theirs"))

    assert caught.value.reason is DropReason.READS_FULL
    assert len(driven.raft.reads) == 3


def test_a_read_sees_what_was_committed_when_it_was_asked_for() -> None:
    driven = make()
    elect_and_commit(driven)
    to_two, _ = propose(driven)
    driven.step(acknowledge(to_two))

    heartbeat, _ = _heartbeats(driven, b"read")
    driven.step(_answer(heartbeat))

    assert driven.reads == [ReadState(index=driven.applied[-1].index, context=b"read")]


def test_a_leader_that_stops_leading_answers_no_read() -> None:
    driven = make()
    elect_and_commit(driven)
    to_two, _ = _heartbeats(driven, b"read")

    driven.tick(20)
    assert driven.node.lead == 0
    driven.node.step(replace(_answer(to_two), sender=PeerId(2)))
    driven.settle()

    assert driven.reads == []
