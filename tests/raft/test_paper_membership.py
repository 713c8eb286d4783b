"""What the Raft thesis says of handing leadership on and of changing the configuration."""

from dataclasses import replace

import pytest
from caretree.model.ids import PeerId, Term
from caretree.raft.core import Role
from caretree.raft.errors import ConfChangeError, ProposalDroppedError, TransferRefusedError
from caretree.raft.messages import ConfChange, EntryType, Message, MessageType

from tests.raft.builders import (
    Driven,
    acknowledge,
    elect,
    elect_and_commit,
    entry,
    make,
    message,
    only,
    propose,
)
from tests.raft.describing import encode_change, parse_changes

T = MessageType


def _caught_up_leader() -> Driven:
    driven = make()
    elect_and_commit(driven)
    return driven


def test_thesis_3_10_leadership_goes_to_a_caught_up_follower_at_once() -> None:
    driven = _caught_up_leader()

    driven.node.transfer_leader(PeerId(2))

    assert [each.to for each in only(driven.settle(), T.TIMEOUT_NOW)] == [2]
    with pytest.raises(ProposalDroppedError):
        driven.node.propose(b"", payload_bytes=0)


def test_thesis_3_10_a_follower_that_lags_is_caught_up_first() -> None:
    driven = _caught_up_leader()
    to_two = propose(driven)[0]

    driven.node.transfer_leader(PeerId(2))
    assert only(driven.settle(), T.TIMEOUT_NOW) == []
    sent = driven.step(acknowledge(to_two))

    assert [each.to for each in only(sent, T.TIMEOUT_NOW)] == [2]


def test_thesis_3_10_a_transfer_is_given_up_after_an_election_timeout() -> None:
    driven = _caught_up_leader()
    driven.node.transfer_leader(PeerId(2))

    for _ in range(10):
        driven.tick(1)
        driven.step(message(T.HEARTBEAT_RESP, sender=3))

    assert driven.node.basic_status().transferee == 0
    assert propose(driven)


def test_thesis_3_10_who_is_told_campaigns_at_once_and_asks_past_a_live_leader() -> None:
    driven = make(2)
    driven.step(message(T.HEARTBEAT, sender=1, to=2))

    sent = driven.step(message(T.TIMEOUT_NOW, sender=1, to=2))

    assert [each.leader_transfer for each in only(sent, T.VOTE)] == [True, True]
    assert driven.node.term == 2


def test_a_follower_passes_a_transfer_to_its_leader_which_acts_on_it() -> None:
    follower, leader = make(2), _caught_up_leader()
    follower.step(message(T.HEARTBEAT, sender=1, to=2))

    follower.node.transfer_leader(PeerId(3))
    (wish,) = follower.settle()
    sent = leader.step(wish)

    assert [each.to for each in only(sent, T.TIMEOUT_NOW)] == [3]


def test_leadership_does_not_go_to_a_learner_or_a_stranger() -> None:
    driven = make(learners=(4,))
    elect_and_commit(driven)

    for transferee in (4, 5):
        with pytest.raises(TransferRefusedError):
            driven.node.transfer_leader(PeerId(transferee))


def test_a_learner_never_campaigns_and_still_votes() -> None:
    learner = make(4, learners=(4,))

    assert learner.tick(100) == []
    (answer,) = learner.step(message(T.VOTE, to=4))

    assert not answer.reject


def test_no_campaign_with_a_committed_change_that_is_not_applied() -> None:
    change = replace(entry(1, 1, encode_change("v4", transition="auto", old_form=False)))
    change = replace(change, type=EntryType.CONF_CHANGE)
    driven = make(log=[change], term=1)
    driven.node.step(message(T.HEARTBEAT, commit=1))

    driven.node.campaign()

    assert driven.node.role is Role.FOLLOWER
    driven.settle()
    driven.node.campaign()
    assert driven.node.basic_status().role is Role.PRE_CANDIDATE


def test_8_no_change_of_the_configuration_before_the_terms_first_entry_is_applied() -> None:
    driven = make()
    appends = elect(driven)
    change = ConfChange(changes=parse_changes("v4"))

    with pytest.raises(ConfChangeError):
        driven.node.propose_conf_change(change, data=b"new|auto|v4")
    driven.step(acknowledge(appends[0]))

    assert driven.node.propose_conf_change(change, data=b"new|auto|v4") == 2


def test_thesis_4_1_one_change_at_a_time_and_never_one_that_does_not_fit() -> None:
    driven = _caught_up_leader()
    with pytest.raises(ConfChangeError):
        driven.node.propose_conf_change(ConfChange(), data=b"")
    driven.node.propose_conf_change(ConfChange(changes=parse_changes("v4")), data=b"new|auto|v4")
    appends = only(driven.settle(), T.APP)

    with pytest.raises(ConfChangeError):
        driven.node.propose_conf_change(
            ConfChange(changes=parse_changes("v5")), data=b"new|auto|v5"
        )
    driven.step(acknowledge(appends[0]))

    assert driven.node.conf_state().voters == (1, 2, 3, 4)
    driven.node.propose_conf_change(ConfChange(changes=parse_changes("v5")), data=b"new|auto|v5")


def _answer_all(driven: Driven, sent: list[Message]) -> None:
    while sent:
        sent = [
            more
            for each in only(sent, T.APP)
            if each.to in driven.raft.tracker.progress
            for more in driven.step(acknowledge(each))
        ]


def test_thesis_4_3_the_leader_leaves_a_joint_configuration_by_itself() -> None:
    driven = _caught_up_leader()
    change = ConfChange(changes=parse_changes("r3 v4"))

    driven.node.propose_conf_change(change, data=b"new|auto|r3 v4")
    _answer_all(driven, driven.settle())

    assert driven.node.conf_state().voters == (1, 2, 4)
    assert driven.node.conf_state().voters_outgoing == ()


def test_thesis_4_2_2_a_removed_leader_steps_down_once_that_is_applied() -> None:
    driven = _caught_up_leader()

    driven.node.propose_conf_change(ConfChange(changes=parse_changes("r1")), data=b"new|auto|r1")
    for each in only(driven.settle(), T.APP):
        driven.node.step(acknowledge(each))
    driven.settle()

    assert driven.node.role is Role.FOLLOWER
    driven.tick(100)
    assert driven.node.role is Role.FOLLOWER
    assert driven.node.term == Term(1)
