"""Raft messages on the wire: every field comes back as it went, and junk is refused by name."""

from dataclasses import fields

import pytest
from caretree.model.errors import MalformedError
from caretree.model.ids import LogIndex, PeerId, Term
from caretree.node.peer_codec import decode_raft, encode_raft
from caretree.proto.peer.v1 import peer_pb2
from caretree.raft.messages import (
    ConfState,
    Entry,
    EntryType,
    Message,
    MessageType,
    SnapshotMeta,
)
from hypothesis import given
from hypothesis import strategies as st

U64 = st.integers(min_value=0, max_value=2**64 - 1)
U32 = st.integers(min_value=0, max_value=2**32 - 1)
PEERS = st.lists(U64.map(PeerId), max_size=4).map(tuple)
ENTRIES = st.lists(
    st.builds(
        Entry,
        index=U64.map(LogIndex),
        term=U64.map(Term),
        type=st.sampled_from(EntryType),
        data=st.binary(max_size=50),
        payload_bytes=U32,
    ),
    max_size=4,
).map(tuple)
SNAPSHOTS = st.builds(
    SnapshotMeta,
    index=U64.map(LogIndex),
    term=U64.map(Term),
    conf_state=st.builds(
        ConfState,
        voters=PEERS,
        voters_outgoing=PEERS,
        learners=PEERS,
        learners_next=PEERS,
        auto_leave=st.booleans(),
    ),
    data=st.binary(max_size=50),
)
FIELDS: dict[str, st.SearchStrategy[object]] = {
    "type": st.sampled_from(MessageType),
    "sender": U64.map(PeerId),
    "to": U64.map(PeerId),
    "term": U64.map(Term),
    "index": U64.map(LogIndex),
    "log_term": U64.map(Term),
    "entries": ENTRIES,
    "commit": U64.map(LogIndex),
    "commit_term": U64.map(Term),
    "reject": st.booleans(),
    "reject_hint": U64.map(LogIndex),
    "context": st.binary(max_size=40),
    "snapshot": st.none() | SNAPSHOTS,
    "leader_transfer": st.booleans(),
    "transferee": U64.map(PeerId),
}
MESSAGES = st.builds(Message, **FIELDS)


@given(MESSAGES)
def test_a_message_comes_back_as_it_went(message: Message) -> None:
    on_the_wire = encode_raft(message).SerializeToString()
    parsed = peer_pb2.RaftMessage.FromString(on_the_wire)
    assert decode_raft(parsed, sender=message.sender) == message


def test_every_field_of_a_message_is_drawn_above() -> None:
    assert set(FIELDS) == {field.name for field in fields(Message)}


def test_the_sender_is_whom_the_connection_names() -> None:
    message = Message(type=MessageType.APP, sender=PeerId(1), to=PeerId(2), term=Term(3))
    assert decode_raft(encode_raft(message), sender=PeerId(9)).sender == 9


@pytest.mark.parametrize("number", [0, 99, 2**31 - 1])
def test_an_unknown_message_type_is_malformed(number: int) -> None:
    with pytest.raises(MalformedError, match="raft"):
        decode_raft(peer_pb2.RaftMessage(type=number), sender=PeerId(1))


@pytest.mark.parametrize("number", [0, 3, 99])
def test_an_unknown_entry_type_is_malformed(number: int) -> None:
    encoded = peer_pb2.RaftMessage(
        type=MessageType.APP.value, entries=[peer_pb2.RaftEntry(type=number)]
    )
    with pytest.raises(MalformedError, match="raft"):
        decode_raft(encoded, sender=PeerId(1))
