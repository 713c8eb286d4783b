"""What the Raft paper and thesis say of terms, votes and leaders, one claim each."""

from dataclasses import replace

import pytest
from caretree.model.ids import PeerId
from caretree.raft.core import Role
from caretree.raft.messages import MessageType

from tests.raft.builders import (
    CONFIG,
    Driven,
    append,
    elect,
    elect_and_commit,
    entry,
    grant,
    log_of,
    make,
    message,
    only,
)

T = MessageType
_PLAIN = replace(CONFIG, pre_vote=False, check_quorum=False)


def _in_role(role: Role) -> Driven:
    driven = make(config=replace(CONFIG, check_quorum=False))
    if role is Role.LEADER:
        elect_and_commit(driven)
    elif role is not Role.FOLLOWER:
        driven.node.campaign()
        sent = driven.settle()
        if role is Role.CANDIDATE:
            driven.step(grant(sent[0]))
    assert driven.node.role is role
    return driven


@pytest.mark.parametrize("role", list(Role))
def test_5_1_every_role_follows_into_a_higher_term(role: Role) -> None:
    driven = _in_role(role)

    driven.step(append(term=7))

    assert driven.node.role is Role.FOLLOWER
    assert (driven.node.term, driven.node.lead) == (7, 2)
    assert driven.store.hard_state.term == 7


def test_5_1_a_message_of_a_lower_term_changes_nothing() -> None:
    driven = make(log=log_of(3), term=3, commit=1)

    driven.step(append(term=2, index=1, log_term=2, entries=[entry(2, 2)]))

    assert driven.store.all_entries() == log_of(3)
    assert driven.node.lead == 0


def test_5_2_a_peer_starts_as_a_follower_and_campaigns_only_without_a_leader() -> None:
    driven = make(config=_PLAIN)

    for _ in range(5):
        assert only(driven.tick(9), T.VOTE) == []
        driven.step(message(T.HEARTBEAT))
    sent = driven.tick(10)

    assert driven.node.role is Role.CANDIDATE
    assert [each.to for each in only(sent, T.VOTE)] == [2, 3]
    assert driven.node.term == 2


def test_5_2_the_election_timeout_is_spread_by_the_jitter_given() -> None:
    late = make(config=_PLAIN, jitter=9)

    assert late.tick(18) == []
    assert only(late.tick(1), T.VOTE)


def test_5_2_a_majority_of_votes_makes_a_leader_and_its_own_vote_counts_once_durable() -> None:
    driven = make(voters=(1, 2, 3, 4, 5), config=_PLAIN)
    driven.node.campaign()
    ready = driven.node.ready()
    driven.store.write(ready)
    requests = only(ready.messages, T.VOTE)

    driven.node.step(grant(requests[0]))
    driven.node.step(grant(requests[1]))
    assert driven.node.role is Role.CANDIDATE
    driven.node.advance()

    assert driven.node.basic_status().role is Role.LEADER


def test_5_2_a_majority_against_it_makes_a_candidate_a_follower() -> None:
    driven = make(config=_PLAIN)
    driven.node.campaign()
    for request in driven.settle():
        driven.step(replace(grant(request), reject=True))

    assert driven.node.role is Role.FOLLOWER
    assert driven.node.term == 1


def test_5_2_a_vote_is_given_once_in_a_term_and_may_be_repeated() -> None:
    driven = make(config=_PLAIN)
    ask = message(T.VOTE, sender=2)

    (first,) = driven.step(ask)
    (other,) = driven.step(message(T.VOTE, sender=3))
    (again,) = driven.step(ask)

    assert [first.reject, other.reject, again.reject] == [False, True, False]
    assert driven.store.hard_state.vote == 2


def test_5_2_the_same_term_is_no_new_term_and_keeps_the_vote() -> None:
    driven = make(config=_PLAIN)
    elect(driven)

    # A leader that steps down in its term must not vote for another in it.
    driven.raft.config = replace(CONFIG, pre_vote=False)
    driven.tick(10)
    assert driven.node.role is Role.FOLLOWER
    (answer,) = driven.step(message(T.VOTE, sender=2, term=1, index=9, log_term=9))

    assert answer.reject
    assert driven.store.hard_state.vote == 1


def test_5_2_a_restart_keeps_term_and_vote() -> None:
    driven = make(config=_PLAIN)
    driven.step(message(T.VOTE, sender=2, term=4))

    state = driven.store.hard_state
    again = make(config=_PLAIN, term=state.term, vote=state.vote)
    (answer,) = again.step(message(T.VOTE, sender=3, term=4))

    assert answer.reject


def test_5_2_a_candidate_follows_the_leader_of_its_own_term() -> None:
    driven = _in_role(Role.CANDIDATE)

    driven.step(append(term=1, sender=3))

    assert (driven.node.role, driven.node.lead) == (Role.FOLLOWER, 3)
    assert driven.store.hard_state.vote == 1


def test_5_2_a_leader_sends_heartbeats_each_interval() -> None:
    driven = _in_role(Role.LEADER)

    for _ in range(3):
        assert [each.to for each in only(driven.tick(1), T.HEARTBEAT)] == [2, 3]


@pytest.mark.parametrize(
    ("index", "log_term", "granted"),
    [(2, 2, True), (3, 2, True), (1, 3, True), (1, 2, False), (9, 1, False)],
)
def test_5_4_1_a_vote_needs_a_log_at_least_as_up_to_date(
    index: int, log_term: int, *, granted: bool
) -> None:
    driven = make(log=log_of(1, 2), term=2, config=_PLAIN)

    (answer,) = driven.step(message(T.VOTE, term=3, index=index, log_term=log_term))

    assert answer.reject is not granted


@pytest.mark.parametrize("kind", [T.VOTE, T.PRE_VOTE])
def test_thesis_4_2_3_a_vote_is_ignored_under_a_live_leader(kind: MessageType) -> None:
    driven = make()
    driven.step(message(T.HEARTBEAT, sender=2))

    assert driven.step(message(kind, sender=3, term=5)) == []
    assert driven.node.term == 1
    driven.raft.randomized_election_ticks = 99
    driven.tick(10)
    assert driven.step(message(kind, sender=3, term=5)) != []


def test_thesis_4_2_3_a_vote_that_the_leader_wishes_is_not_ignored() -> None:
    driven = make()
    driven.step(message(T.HEARTBEAT, sender=2))

    (answer,) = driven.step(replace(message(T.VOTE, sender=3, term=2), leader_transfer=True))

    assert not answer.reject


def test_thesis_6_2_a_leader_without_a_quorum_steps_down() -> None:
    driven = make()
    elect_and_commit(driven)

    driven.tick(10)
    assert driven.node.role is Role.LEADER
    driven.tick(10)

    assert (driven.node.role, driven.node.lead) == (Role.FOLLOWER, 0)


def test_thesis_6_2_one_follower_of_two_keeps_a_leader_leading() -> None:
    driven = make()
    elect_and_commit(driven)

    for _ in range(50):
        driven.tick(1)
        driven.step(message(T.HEARTBEAT_RESP, sender=3))

    assert driven.node.role is Role.LEADER


def test_thesis_9_6_a_vote_before_the_vote_writes_nothing_on_either_side() -> None:
    asking, asked = make(1, term=4, vote=3), make(2, term=4, vote=3)

    asking.raft.randomized_election_ticks = 1
    asking.node.tick()
    ready = asking.do_ready()
    answer = asked.do_ready() if asked.node.has_ready() else None
    asked.node.step(only(ready.messages, T.PRE_VOTE)[0])
    answered = asked.do_ready()

    assert ready.hard_state is None
    assert answer is None
    assert answered.hard_state is None
    assert not answered.messages[0].reject
    assert not ready.must_sync
    assert not answered.must_sync


def test_thesis_9_6_a_peer_that_was_cut_off_does_not_depose_the_leader() -> None:
    cut_off = make(3)
    cut_off.tick(200)

    assert cut_off.node.role is Role.PRE_CANDIDATE
    assert cut_off.node.term == 0


def test_thesis_9_6_a_candidate_of_a_lower_term_is_told_the_higher_one() -> None:
    driven = make(term=6)

    (answer,) = driven.step(message(T.PRE_VOTE, term=3))

    assert answer.reject
    assert answer.term == 6


def test_a_leader_cut_off_by_its_own_term_is_freed_by_an_answer_in_the_higher_term() -> None:
    alone = make(3, term=9)
    (answer,) = alone.step(message(T.HEARTBEAT, sender=1, to=3, term=2))
    leader = make()
    elect_and_commit(leader)

    leader.step(replace(answer, sender=PeerId(3), to=PeerId(1)))

    assert (leader.node.role, leader.node.term) == (Role.FOLLOWER, 9)
