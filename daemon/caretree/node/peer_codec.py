"""Raft messages as `peer.v1` says them."""

from typing import Final

from caretree.model.errors import MalformedError
from caretree.model.ids import LogIndex, PeerId, Term
from caretree.proto.peer.v1 import peer_pb2
from caretree.raft.messages import (
    ConfState,
    Entry,
    EntryType,
    Message,
    MessageType,
    SnapshotMeta,
)

CONTEXT_BYTES_MAX: Final = 64  # a read's own words are 16 random bytes


def encode_raft(message: Message) -> peer_pb2.RaftMessage:
    """A Raft message, to be sent."""
    encoded = peer_pb2.RaftMessage(
        type=message.type.value,
        to=message.to,
        term=message.term,
        log_term=message.log_term,
        index=message.index,
        commit=message.commit,
        transferee=message.transferee,
        reject=message.reject,
        reject_hint=message.reject_hint,
        context=message.context,
        leader_transfer=message.leader_transfer,
        commit_term=message.commit_term,
        entries=[
            peer_pb2.RaftEntry(
                index=entry.index,
                term=entry.term,
                type=entry.type.value,
                data=entry.data,
                payload_bytes=entry.payload_bytes,
            )
            for entry in message.entries
        ],
    )
    if message.snapshot is not None:
        encoded.snapshot.CopyFrom(_encode_snapshot(message.snapshot))
    return encoded


def decode_raft(encoded: peer_pb2.RaftMessage, *, sender: PeerId) -> Message:
    """A Raft message, received from `sender`, whom its connection names.

    Raises:
        MalformedError: a type that is not known.
    """
    try:
        kind = MessageType(encoded.type)
        entries = tuple(
            Entry(
                index=LogIndex(entry.index),
                term=Term(entry.term),
                type=EntryType(entry.type),
                data=entry.data,
                payload_bytes=entry.payload_bytes,
            )
            for entry in encoded.entries
        )
    except ValueError as error:
        raise MalformedError("raft.type", "expected a known type") from error
    if len(encoded.context) > CONTEXT_BYTES_MAX:
        raise MalformedError("raft.context", f"expected at most {CONTEXT_BYTES_MAX} bytes")
    has_snapshot = encoded.HasField("snapshot")
    return Message(
        type=kind,
        sender=sender,
        to=PeerId(encoded.to),
        term=Term(encoded.term),
        index=LogIndex(encoded.index),
        log_term=Term(encoded.log_term),
        entries=entries,
        commit=LogIndex(encoded.commit),
        reject=encoded.reject,
        reject_hint=LogIndex(encoded.reject_hint),
        context=encoded.context,
        snapshot=_decode_snapshot(encoded.snapshot) if has_snapshot else None,
        leader_transfer=encoded.leader_transfer,
        commit_term=Term(encoded.commit_term),
        transferee=PeerId(encoded.transferee),
    )


def _encode_snapshot(snapshot: SnapshotMeta) -> peer_pb2.RaftSnapshot:
    return peer_pb2.RaftSnapshot(
        index=snapshot.index,
        term=snapshot.term,
        voters=snapshot.conf_state.voters,
        learners=snapshot.conf_state.learners,
        voters_outgoing=snapshot.conf_state.voters_outgoing,
        learners_next=snapshot.conf_state.learners_next,
        auto_leave=snapshot.conf_state.auto_leave,
        data=snapshot.data,
    )


def _decode_snapshot(encoded: peer_pb2.RaftSnapshot) -> SnapshotMeta:
    return SnapshotMeta(
        index=LogIndex(encoded.index),
        term=Term(encoded.term),
        conf_state=ConfState(
            voters=tuple(PeerId(peer) for peer in encoded.voters),
            voters_outgoing=tuple(PeerId(peer) for peer in encoded.voters_outgoing),
            learners=tuple(PeerId(peer) for peer in encoded.learners),
            learners_next=tuple(PeerId(peer) for peer in encoded.learners_next),
            auto_leave=encoded.auto_leave,
        ),
        data=encoded.data,
    )
