"""The door: what Ready promises, what is refused, and that no input makes a peer fall over."""

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest
from caretree.model.errors import CaretreeError, RejectedError, UnavailableError
from caretree.model.ids import LogIndex, PeerId, Term
from caretree.raft.core import RaftConfig, Role
from caretree.raft.errors import (
    LogLostError,
    MalformedMessageError,
    RaftConfigError,
    StoredStateError,
    TruncationRefusedError,
    UnknownPeerError,
)
from caretree.raft.messages import (
    RESPONSES,
    ConfState,
    Entry,
    EntryType,
    Message,
    MessageType,
    SnapshotMeta,
)
from caretree.raft.rawnode import RawNode
from typing_extensions import override

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
from tests.raft.memory_store import MemoryLogStore

T = MessageType


def test_a_leaders_appends_leave_while_it_writes_and_its_own_vote_for_them_does_not() -> None:
    driven = make()
    elect_and_commit(driven)
    driven.node.propose(b"block", payload_bytes=0)

    ready = driven.node.ready()

    assert [each.type for each in ready.messages_now] == [T.APP, T.APP]
    assert ready.messages_after_persist == ()
    assert ready.must_sync
    assert driven.node.status().progress[PeerId(1)].match == 1


@pytest.mark.parametrize(
    "cause", [message(T.VOTE, term=3), append(term=3), message(T.HEARTBEAT, term=3)]
)
def test_nothing_leaves_in_a_term_that_is_not_durable(cause: Message) -> None:
    driven = make()

    driven.node.step(cause)
    ready = driven.node.ready()

    assert ready.must_sync
    assert ready.hard_state is not None
    assert ready.hard_state.term == 3
    assert ready.messages_now == ()
    assert len(ready.messages_after_persist) == 1


def test_an_acknowledgement_waits_for_the_write() -> None:
    driven = make(term=1)

    driven.node.step(append(entries=log_of(1)))
    ready = driven.node.ready()

    assert ready.messages_now == ()
    assert [each.index for each in ready.messages_after_persist] == [1]


def test_a_commit_index_alone_need_not_be_synced() -> None:
    driven = make(log=log_of(1), term=1)
    driven.step(message(T.HEARTBEAT))

    driven.node.step(message(T.HEARTBEAT, commit=1))
    ready = driven.node.ready()

    assert ready.hard_state is not None
    assert not ready.must_sync


def test_an_idle_peer_has_nothing_ready() -> None:
    driven = make()
    assert not driven.node.has_ready()
    elect_and_commit(driven)

    assert not driven.node.has_ready()


def test_entries_replaced_while_they_were_written_are_written_again() -> None:
    driven = make(term=1)
    driven.node.step(append(entries=log_of(1, 1, 1)))
    first = driven.node.ready()

    driven.node.step(append(term=2, index=1, log_term=1, entries=[entry(2, 2)]))
    driven.store.write(first)
    driven.node.advance()
    second = driven.node.ready()

    assert [each.index for each in second.entries] == [2]
    driven.store.write(second)
    driven.node.advance()
    assert driven.store.all_entries() == log_of(1, 2)
    assert driven.raft.log.unstable.entries == []
    assert driven.raft.log.last_index() == 2


def test_a_snapshot_that_comes_while_entries_are_written_replaces_them() -> None:
    driven = make(term=1)
    driven.node.step(append(entries=log_of(1, 1)))
    first = driven.node.ready()
    snapshot = SnapshotMeta(
        index=LogIndex(9), term=Term(1), conf_state=driven.node.conf_state(), data=b""
    )

    driven.node.step(replace(message(T.SNAP), snapshot=snapshot))
    driven.store.write(first)
    driven.node.advance()
    driven.settle()

    assert driven.store.last_index() == 9
    assert driven.node.basic_status().applied == 9


def test_a_second_ready_before_advance_is_a_mistake_and_so_is_advance_alone() -> None:
    driven = make()
    with pytest.raises(AssertionError):
        driven.node.advance()
    driven.node.campaign()
    driven.node.ready()

    with pytest.raises(AssertionError):
        driven.node.ready()


@pytest.mark.parametrize(
    "wrong",
    [
        message(T.HEARTBEAT, to=3),
        message(T.HEARTBEAT, sender=1),
        message(T.HEARTBEAT, sender=0),
        message(T.HEARTBEAT, term=0),
        message(T.VOTE, term=0),
        append(index=1, log_term=1, entries=[entry(3, 1)]),
        append(term=3, entries=log_of(2, 1)),
        append(term=3, index=1, log_term=2, entries=[entry(2, 1)]),
        append(term=1, entries=log_of(2)),
        message(T.SNAP),
        replace(
            message(T.SNAP),
            snapshot=SnapshotMeta(
                index=LogIndex(5), term=Term(2), conf_state=ConfState(), data=b""
            ),
        ),
        replace(
            message(T.SNAP),
            snapshot=SnapshotMeta(
                index=LogIndex(5),
                term=Term(1),
                conf_state=ConfState(voters=(PeerId(1),), learners=(PeerId(1),)),
                data=b"",
            ),
        ),
    ],
)
def test_a_malformed_message_is_refused_and_changes_nothing(wrong: Message) -> None:
    driven = make()

    with pytest.raises(MalformedMessageError):
        driven.node.step(wrong)

    assert not driven.node.has_ready()


@pytest.mark.parametrize("kind", [kind for kind in MessageType if kind in RESPONSES])
def test_an_answer_from_outside_the_configuration_is_refused(kind: MessageType) -> None:
    driven = make()

    with pytest.raises(UnknownPeerError):
        driven.node.step(message(kind, sender=9, term=5))

    assert driven.node.term == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"peer": PeerId(0)},
        {"heartbeat_ticks": 0},
        {"heartbeat_ticks": 10},
        {"message_bytes_max": 0},
        {"committed_bytes_max": 0},
        {"uncommitted_bytes_max": 0},
        {"inflight_messages_max": 0},
        {"reads_max": 0},
        {"inflight_bytes_max": CONFIG.message_bytes_max - 1},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(RaftConfigError):
        replace(CONFIG, **wrong)  # type: ignore[arg-type]  # all are whole numbers


def test_a_stored_configuration_that_contradicts_itself_refuses_the_start() -> None:
    store = MemoryLogStore()
    store.conf_state = ConfState(voters=(PeerId(1),), learners=(PeerId(1),))

    with pytest.raises(StoredStateError):
        RawNode(CONFIG, store, jitter=lambda _: 0)


def _peer_in(role: Role, config: RaftConfig) -> Driven:
    driven = make(log=log_of(1, 1, 2), term=2, commit=2, learners=(4,), config=config)
    if role is Role.LEADER:
        elect(driven)
        driven.node.propose(b"x", payload_bytes=5)
    elif role is not Role.FOLLOWER:
        driven.raft.config = replace(config, pre_vote=role is Role.PRE_CANDIDATE)
        driven.node.campaign()
        driven.raft.config = config
    assert driven.node.role is role
    return driven


def _any_message(chance: random.Random, kind: MessageType) -> Message:
    term = chance.randint(0, 5)
    index, log_term = chance.randint(0, 6), chance.randint(0, min(3, term))
    snapshot = SnapshotMeta(
        index=LogIndex(chance.randint(0, 8)),
        term=Term(chance.randint(0, 4)),
        conf_state=ConfState(voters=(PeerId(1), PeerId(2))),
        data=b"",
    )
    return Message(
        type=kind,
        sender=PeerId(chance.randint(1, 6)),
        to=PeerId(1),
        term=Term(term),
        index=LogIndex(index),
        log_term=Term(log_term),
        entries=tuple(
            Entry(
                index=LogIndex(index + 1 + place),
                term=Term(chance.randint(log_term, max(log_term, term))),
                type=chance.choice(list(EntryType)),
                data=b"",
            )
            for place in range(chance.randint(0, 3))
        ),
        commit=LogIndex(chance.randint(0, 6)),
        commit_term=Term(chance.randint(0, 3)),
        reject=chance.random() < 0.4,
        reject_hint=LogIndex(chance.randint(0, 9)),
        context=chance.choice([b"", b"read", bytes(7) + b"\x01"]),
        snapshot=chance.choice([None, snapshot]),
        leader_transfer=chance.random() < 0.3,
        transferee=PeerId(chance.randint(0, 6)),
    )


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("kind", list(MessageType))
def test_no_message_in_any_role_makes_a_peer_fall_over(kind: MessageType, role: Role) -> None:
    seed = 1_000 * kind.value + role.value
    chance = random.Random(seed)
    for run in range(60):
        config = replace(CONFIG, pre_vote=run % 2 == 0, check_quorum=run % 3 == 0)
        driven = _peer_in(role, config)
        try:
            for _ in range(3):
                driven.node.step(_any_message(chance, kind))
                driven.node.tick()
            driven.settle()
        except (MalformedMessageError, UnknownPeerError):
            continue
        except (LogLostError, TruncationRefusedError):
            # Only a leader's word about the log can show that it was lost, or be refused so.
            assert kind in {T.APP, T.HEARTBEAT, T.SNAP}, f"seed {seed} run {run}"
        except CaretreeError as error:
            raise AssertionError(f"seed {seed} run {run}") from error


@pytest.mark.parametrize("role", list(Role))
def test_no_local_input_in_any_role_makes_a_peer_fall_over(role: Role) -> None:
    for peer in (0, 1, 2, 4, 9):
        driven = _peer_in(role, CONFIG)
        for attempt in (
            driven.node.campaign,
            driven.node.forget_leader,
            lambda node=driven.node, peer=peer: node.report_unreachable(PeerId(peer)),
            lambda node=driven.node, peer=peer: node.report_snapshot(PeerId(peer), arrived=True),
            lambda node=driven.node, peer=peer: node.transfer_leader(PeerId(peer)),
            lambda node=driven.node: node.read_index(b"read"),
            lambda node=driven.node: node.propose(b"x", payload_bytes=1),
        ):
            # What cannot be done now, or ever, is said so; nothing else is raised.
            with suppress(RejectedError, UnavailableError):
                attempt()
        driven.settle()


def test_what_a_refused_vote_tells_lets_a_group_go_on_that_nobody_could_lead() -> None:
    # Peer 1 is the only voter once entry 2 is applied, and does not know that entry 2 is committed;
    # the others know, hold a longer log, and are learners.
    driven = make(log=log_of(1, 1), term=1, commit=1)
    driven.node.campaign()
    (request, _) = only(driven.settle(), T.PRE_VOTE)

    driven.step(
        replace(
            message(T.PRE_VOTE_RESP, sender=request.to, term=1, commit=2, commit_term=1),
            reject=True,
        )
    )

    assert driven.node.basic_status().commit == 2


def test_what_a_refused_vote_tells_is_not_believed_of_a_log_that_differs() -> None:
    driven = make(log=log_of(1, 1), term=1, commit=1)

    driven.step(message(T.VOTE, term=2, index=1, log_term=1, commit=2, commit_term=2))

    assert driven.node.basic_status().commit == 1


class _Counting(MemoryLogStore):
    """Counts the entries that are read back."""

    read = 0

    @override
    def entries(self, start: LogIndex, stop: LogIndex, *, bytes_max: int) -> Sequence[Entry]:
        found = super().entries(start, stop, bytes_max=bytes_max)
        self.read += len(found)
        return found


def test_each_entry_is_read_back_from_the_store_once_at_most_to_be_applied() -> None:
    store = _Counting()
    store.conf_state = ConfState(voters=(PeerId(1), PeerId(2), PeerId(3)))
    driven = Driven(node=RawNode(CONFIG, store, jitter=lambda _: 0), store=store)
    elect_and_commit(driven)
    store.read = 0

    for _ in range(50):
        to_two, to_three = propose(driven)
        driven.step(acknowledge(to_two))
        driven.step(acknowledge(to_three))

    assert driven.node.basic_status().applied == 51
    assert store.read == 50


def test_proposals_return_where_they_will_stand() -> None:
    driven = make()
    elect_and_commit(driven)

    indexes = [driven.node.propose(b"x", payload_bytes=0) for _ in range(3)]

    assert indexes == [2, 3, 4]
    assert propose(driven)[-1].entries[0].index == 5
