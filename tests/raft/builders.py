"""Single peers with a log of one's choosing, and the doing of their Ready, for tests."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from caretree.model.ids import LogIndex, PeerId, Term
from caretree.raft.core import Raft, RaftConfig, ReadState
from caretree.raft.messages import (
    NO_PEER,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
)
from caretree.raft.rawnode import RawNode
from caretree.raft.ready import Ready

from tests.raft.describing import decode_change
from tests.raft.memory_store import EMPTY_SNAPSHOT, MemoryLogStore

CONFIG: Final = RaftConfig(
    peer=PeerId(1),
    election_ticks=10,
    heartbeat_ticks=1,
    applied=LogIndex(0),
    message_bytes_max=1 << 20,
    committed_bytes_max=1 << 20,
    uncommitted_bytes_max=1 << 20,
    inflight_messages_max=64,
    inflight_bytes_max=1 << 22,
    reads_max=16,
    pre_vote=True,
    check_quorum=True,
    step_down_on_removal=True,
)


def entry(index: int, term: int, data: bytes = b"") -> Entry:
    """An ordinary entry."""
    return Entry(index=LogIndex(index), term=Term(term), type=EntryType.NORMAL, data=data)


def log_of(*terms: int) -> list[Entry]:
    """A log from index 1 on with these terms."""
    return [entry(place + 1, term) for place, term in enumerate(terms)]


@dataclass(slots=True, kw_only=True)
class Driven:
    """A peer with its store; does each Ready and remembers what came out."""

    node: RawNode
    store: MemoryLogStore
    sent: list[Message] = field(default_factory=list)
    applied: list[Entry] = field(default_factory=list)
    reads: list[ReadState] = field(default_factory=list)

    @property
    def raft(self) -> Raft:
        """The state inside."""
        return self.node._raft

    def do_ready(self) -> Ready:
        """Do the duties of one Ready."""
        ready = self.node.ready()
        self.store.write(ready)
        for each in ready.committed_entries:
            if each.type is EntryType.CONF_CHANGE:
                self.store.conf_state = self.node.apply_conf_change(decode_change(each.data))
        self.applied += ready.committed_entries
        self.reads += ready.read_states
        self.sent += ready.messages
        self.node.advance()
        return ready

    def settle(self) -> list[Message]:
        """Do all there is to do; what was sent meanwhile."""
        while self.node.has_ready():
            self.do_ready()
        sent, self.sent = self.sent, []
        return sent

    def tick(self, count: int) -> list[Message]:
        """Let time pass; what was sent meanwhile."""
        for _ in range(count):
            self.node.tick()
        return self.settle()

    def step(self, message: Message) -> list[Message]:
        """Take a message in; what was sent because of it."""
        self.node.step(message)
        return self.settle()


def make(
    peer: int = 1,
    *,
    voters: Sequence[int] = (1, 2, 3),
    learners: Sequence[int] = (),
    log: Sequence[Entry] = (),
    term: int = 0,
    vote: int = 0,
    commit: int = 0,
    config: RaftConfig = CONFIG,
    jitter: int = 0,
) -> Driven:
    """A peer that starts as a follower with this state."""
    state = ConfState(voters=tuple(map(PeerId, voters)), learners=tuple(map(PeerId, learners)))
    store = MemoryLogStore(replace(EMPTY_SNAPSHOT, conf_state=state))
    if log:
        store.append(list(log))
    store.hard_state = HardState(term=Term(term), vote=PeerId(vote), commit=LogIndex(commit))
    node = RawNode(replace(config, peer=PeerId(peer)), store, jitter=lambda _: jitter)
    return Driven(node=node, store=store)


def message(
    type_: MessageType, *, sender: int = 2, to: int = 1, term: int = 1, **fields: int
) -> Message:
    """A message with whole-number fields."""
    base = Message(type=type_, sender=PeerId(sender), to=PeerId(to), term=Term(term))
    return replace(base, **fields)  # type: ignore[arg-type]  # ids are whole numbers


def append(
    *,
    sender: int = 2,
    to: int = 1,
    term: int = 1,
    index: int = 0,
    log_term: int = 0,
    commit: int = 0,
    entries: Sequence[Entry] = (),
) -> Message:
    """A leader's append."""
    return Message(
        type=MessageType.APP,
        sender=PeerId(sender),
        to=PeerId(to),
        term=Term(term),
        index=LogIndex(index),
        log_term=Term(log_term),
        commit=LogIndex(commit),
        entries=tuple(entries),
    )


def only(sent: Sequence[Message], type_: MessageType) -> list[Message]:
    """Those of one type."""
    return [each for each in sent if each.type is type_]


def grant(request: Message) -> Message:
    """The answer that grants a vote."""
    answer = {
        MessageType.VOTE: MessageType.VOTE_RESP,
        MessageType.PRE_VOTE: MessageType.PRE_VOTE_RESP,
    }[request.type]
    return Message(type=answer, sender=request.to, to=request.sender, term=request.term)


def acknowledge(request: Message) -> Message:
    """The answer to an append that was taken whole."""
    return Message(
        type=MessageType.APP_RESP,
        sender=request.to,
        to=request.sender,
        term=request.term,
        index=LogIndex(request.index + len(request.entries)),
    )


def elect(driven: Driven) -> list[Message]:
    """Have a peer elected by all others; the appends of its first entry."""
    driven.node.campaign()
    sent = driven.settle()
    while any(each.type in {MessageType.VOTE, MessageType.PRE_VOTE} for each in sent):
        answers = [grant(each) for each in sent]
        sent = []
        for answer in answers:
            sent += driven.step(answer)
    assert driven.node.lead == driven.raft.peer != NO_PEER
    return only(sent, MessageType.APP)


def elect_and_commit(driven: Driven) -> list[Message]:
    """Have a peer elected, and its first entry acknowledged by all; what it sends then."""
    sent: list[Message] = []
    for each in elect(driven):
        sent += driven.step(acknowledge(each))
    return sent


def propose(driven: Driven, data: bytes = b"data") -> list[Message]:
    """Propose; the appends sent."""
    driven.node.propose(data, payload_bytes=0)
    return only(driven.settle(), MessageType.APP)
