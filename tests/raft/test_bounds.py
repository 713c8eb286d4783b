"""Each bound on what is sent, kept or handed out, at the bound and one beyond."""

from dataclasses import replace

import pytest
from caretree.model.ids import PeerId
from caretree.raft.errors import (
    DropReason,
    ProposalDroppedError,
)
from caretree.raft.messages import (
    ENTRY_OVERHEAD_BYTES,
    Message,
    MessageType,
)

from tests.raft.builders import (
    CONFIG,
    Driven,
    acknowledge,
    elect_and_commit,
    make,
    message,
    only,
)

T = MessageType


def _leader(**limits: int) -> Driven:
    driven = make(config=replace(CONFIG, **limits))  # type: ignore[arg-type]  # whole numbers
    elect_and_commit(driven)
    return driven


def _sized(driven: Driven, payload_bytes: int) -> list[Message]:
    driven.node.propose(b"12345678", payload_bytes=payload_bytes)
    return only(driven.settle(), T.APP)


@pytest.mark.parametrize(("spare", "entries"), [(0, 2), (-1, 1)])
def test_an_append_holds_entries_up_to_its_bound_payloads_counted(spare: int, entries: int) -> None:
    bound = 2 * (ENTRY_OVERHEAD_BYTES + 8 + 100) + spare
    driven = _leader(message_bytes_max=bound)
    driven.node.report_unreachable(PeerId(2))
    for _ in range(3):
        _sized(driven, 100)

    sent = driven.step(message(T.APP_RESP, index=1))

    assert len(only(sent, T.APP)[0].entries) == entries


def test_an_entry_above_the_bound_travels_alone() -> None:
    driven = _leader(message_bytes_max=10)

    assert [len(each.entries) for each in _sized(driven, 1_000)] == [1, 1]


def test_the_window_of_appends_is_bounded_by_count() -> None:
    driven = _leader(inflight_messages_max=2)

    sent = [_sized(driven, 0) for _ in range(3)]

    assert [len(appends) for appends in sent] == [2, 2, 0]
    assert driven.node.status().progress[PeerId(2)].inflight_full
    (probe,) = only(driven.step(message(T.HEARTBEAT_RESP)), T.APP)
    assert probe.entries == ()
    freed = only(driven.step(acknowledge(sent[0][0])), T.APP)
    assert [[each.index for each in one.entries] for one in freed if one.entries] == [[4]]


@pytest.mark.parametrize(("bound", "sent"), [(108 * 2, 2), (108 * 2 + 1, 3)])
def test_the_window_of_appends_is_bounded_by_bytes_payloads_counted(bound: int, sent: int) -> None:
    driven = _leader(inflight_bytes_max=bound, message_bytes_max=108)

    appends = [_sized(driven, 100) for _ in range(4)]

    assert sum(bool(each) for each in appends) == sent


@pytest.mark.parametrize(("bound", "taken"), [(216, True), (215, False)])
def test_what_is_uncommitted_is_bounded_payloads_counted(bound: int, *, taken: bool) -> None:
    driven = _leader(uncommitted_bytes_max=bound)
    to_two, _ = _sized(driven, 100)

    if taken:
        _sized(driven, 100)
        return
    with pytest.raises(ProposalDroppedError) as caught:
        _sized(driven, 100)
    assert caught.value.reason is DropReason.UNCOMMITTED_FULL
    driven.step(acknowledge(to_two))
    _sized(driven, 10_000)


def test_what_one_ready_hands_out_to_apply_is_bounded() -> None:
    size = ENTRY_OVERHEAD_BYTES + 8 + 100
    driven = _leader(committed_bytes_max=2 * size)
    appends = [_sized(driven, 100)[0] for _ in range(5)]
    driven.node.step(acknowledge(appends[-1]))

    counts = []
    while driven.node.has_ready():
        counts.append(len(driven.do_ready().committed_entries))

    assert [count for count in counts if count] == [2, 2, 1]
