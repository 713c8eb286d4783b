"""A group of peers under a bad network and crashes, with a checker that looks after every event."""

import random
from dataclasses import dataclass, field, replace

from caretree.model.ids import LogIndex, PeerId, Term
from caretree.raft.core import RaftConfig, Role
from caretree.raft.errors import (
    ConfChangeError,
    DroppedError,
    TransferRefusedError,
    UnknownPeerError,
)
from caretree.raft.messages import (
    NO_INDEX,
    ConfChange,
    ConfState,
    Entry,
    EntryType,
    Message,
    MessageType,
    SnapshotMeta,
)
from caretree.raft.rawnode import RawNode
from caretree.raft.ready import Ready

from tests.raft.builders import CONFIG
from tests.raft.describing import decode_change, encode_change, parse_changes
from tests.raft.memory_store import EMPTY_SNAPSHOT, MemoryLogStore

_GROUP_CONFIG = replace(
    CONFIG,
    election_ticks=6,
    message_bytes_max=200,
    committed_bytes_max=300,
    uncommitted_bytes_max=400,
    inflight_messages_max=4,
    inflight_bytes_max=400,
    reads_max=4,
)
_IN_FLIGHT_MAX = 200


@dataclass(slots=True, kw_only=True)
class Member:
    """A peer, up or down, with what survives a crash."""

    peer: PeerId
    store: MemoryLogStore
    node: RawNode | None = None
    # A Ready whose write has not happened yet.
    writing: Ready | None = None
    applied: LogIndex = NO_INDEX
    # The configuration as of each applied index.
    conf_states: dict[LogIndex, ConfState] = field(default_factory=dict)
    # The commit index as of the last synced write: later ones may be lost.
    synced_commit: LogIndex = NO_INDEX


class Checker:
    """What must hold whatever happens."""

    def __init__(self) -> None:
        self.leaders: dict[Term, PeerId] = {}
        self.committed: dict[LogIndex, Entry] = {}
        # Of each entry ever written: its content, and the term of the entry before it.
        self._written: dict[tuple[LogIndex, Term], tuple[bytes, Term]] = {}
        self.read_floors: dict[bytes, LogIndex] = {}
        self.reads_answered = 0

    @property
    def last_committed(self) -> LogIndex:
        """The highest log index that any peer applied."""
        return max(self.committed, default=LogIndex(0))

    def on_state(self, member: Member) -> None:
        """INV-1: one leader in a term; it holds all that was committed (Raft 5.2, 5.4.3)."""
        node = member.node
        if node is None or node.role is not Role.LEADER:
            return
        if self.leaders.setdefault(node.term, member.peer) != member.peer:
            raise AssertionError(f"two leaders in term {node.term}")

    def on_election(self, node: RawNode) -> None:
        """A new leader holds every committed entry."""
        log = node._raft.log
        for index, entry in self.committed.items():
            assert index < log.first_index() - 1 or log.term(index) == entry.term, "lost"

    def on_write(self, member: Member, ready: Ready) -> None:
        """INV-2: entries of one index and term are the same, as is what precedes them (5.3)."""
        before = member.store.term(LogIndex(ready.entries[0].index - 1))
        for entry in ready.entries:
            assert entry.index > member.applied, "an applied entry is overwritten"
            known = self._written.setdefault((entry.index, entry.term), (entry.data, before))
            assert known == (entry.data, before), "logs that match at an index differ below"
            before = entry.term

    def on_apply(self, member: Member, entry: Entry) -> None:
        """INV-3: every peer applies the same entry at an index, one after the other (5.4.3)."""
        assert entry.index == member.applied + 1
        assert self.committed.setdefault(entry.index, entry) == entry

    def on_send(self, member: Member, message: Message) -> None:
        """INV-4: nothing of term, vote or log is shown that a crash could take back (3.8)."""
        state = member.store.hard_state
        if message.type is MessageType.PRE_VOTE:
            assert message.term <= state.term + 1
            return
        if message.type is not MessageType.PRE_VOTE_RESP or message.reject:
            assert message.term <= state.term
        if message.type is MessageType.VOTE_RESP and not message.reject:
            assert message.term < state.term or state.vote == message.to
        if message.type is MessageType.APP_RESP and not message.reject:
            assert message.index <= member.store.last_index() or message.term < state.term

    def on_read(self, context: bytes, index: LogIndex) -> None:
        """INV-5: a read sees all that was committed before it was asked for."""
        assert index >= self.read_floors[context]
        self.reads_answered += 1


class Cluster:
    """All chance comes from one seed."""

    def __init__(self, seed: int, *, voters: int, spare: int) -> None:
        self.chance = random.Random(seed)
        self.checker = Checker()
        self.network: list[Message] = []
        self.cut_off: set[PeerId] = set()
        self._serial = 0
        # Every third group elects without asking before, every other one of these without
        # CheckQuorum: more elections.
        self._config = replace(_GROUP_CONFIG, pre_vote=seed % 3 != 0, check_quorum=seed % 6 != 0)
        conf_state = ConfState(voters=tuple(PeerId(peer + 1) for peer in range(voters)))
        self.members: dict[PeerId, Member] = {}
        for place in range(voters + spare):
            store = MemoryLogStore(replace(EMPTY_SNAPSHOT, conf_state=conf_state))
            member = Member(peer=PeerId(place + 1), store=store)
            member.conf_states[LogIndex(0)] = conf_state
            self.members[member.peer] = member
            self.start(member)

    # Events.

    def start(self, member: Member) -> None:
        """Start a peer from what survived; it may have applied more than it remembers."""
        points = [point for point in member.conf_states if point >= member.store.first_index() - 1]
        member.applied = self.chance.choice(points)
        member.store.conf_state = member.conf_states[member.applied]
        config: RaftConfig = replace(self._config, peer=member.peer, applied=member.applied)
        member.node = RawNode(config, member.store, jitter=self.chance.randrange)

    def crash(self, member: Member) -> None:
        """Stop a peer; what it had not written, and a commit index not synced, is gone."""
        member.node = None
        member.writing = None
        state = member.store.hard_state
        member.store.hard_state = replace(state, commit=member.synced_commit)

    def tick(self, member: Member) -> None:
        """Let time pass for one peer."""
        if member.node is not None:
            member.node.tick()
            self.work(member)

    def deliver(self) -> None:
        """Take any message from the network; lose it, deliver it, or deliver it and keep a copy."""
        if not self.network:
            return
        place = self.chance.randrange(len(self.network))
        self.network[place], self.network[-1] = self.network[-1], self.network[place]
        message = self.network.pop()
        fate = self.chance.random()
        if fate < 0.08 or {message.sender, message.to} & self.cut_off:
            self._report(message, arrived=False)
            return
        if fate < 0.16:
            self.network.append(message)
        self.hand_over(message)

    def hand_over(self, message: Message) -> None:
        """Give a message to its receiver, if that is up."""
        member = self.members[message.to]
        if member.node is None:
            self._report(message, arrived=False)
            return
        try:
            member.node.step(message)
        except UnknownPeerError:
            return
        self.work(member)
        self._report(message, arrived=True)

    def _report(self, message: Message, *, arrived: bool) -> None:
        # Whoever sends a snapshot is told what became of it; of other losses only now and then.
        sender = self.members[message.sender].node
        if sender is None:
            return
        if message.type is MessageType.SNAP:
            sender.report_snapshot(message.to, arrived=arrived)
        elif not arrived and self.chance.random() < 0.2:
            sender.report_unreachable(message.to)

    def propose(self, member: Member) -> None:
        """Ask one peer to take something in."""
        if member.node is None:
            return
        self._serial += 1
        try:
            if self.chance.random() < 0.15:
                self._propose_change(member.node)
            else:
                data = b"%d" % self._serial
                member.node.propose(data, payload_bytes=self.chance.randrange(150))
        except (DroppedError, ConfChangeError):
            return
        self.work(member)

    def _propose_change(self, node: RawNode) -> None:
        peers = list(self.members)
        steps = " ".join(
            f"{self.chance.choice('vvlr')}{self.chance.choice(peers)}"
            for _ in range(self.chance.randint(0, 2))
        )
        data = encode_change(steps, transition="auto", old_form=False)
        node.propose_conf_change(ConfChange(changes=parse_changes(steps)), data=data)

    def read(self, member: Member) -> None:
        """Ask one peer for a read index."""
        if member.node is None:
            return
        self._serial += 1
        context = b"%d" % self._serial
        self.checker.read_floors[context] = self.checker.last_committed
        try:
            member.node.read_index(context)
        except DroppedError:
            return
        self.work(member)

    def transfer(self, member: Member) -> None:
        """Ask one peer to hand leadership on."""
        if member.node is None:
            return
        try:
            member.node.transfer_leader(self.chance.choice(list(self.members)))
        except (DroppedError, TransferRefusedError):
            return
        self.work(member)

    def compact(self, member: Member) -> None:
        """Let a snapshot stand for what a peer applied."""
        if member.applied < member.store.first_index():
            return
        member.store.latest_snapshot = SnapshotMeta(
            index=member.applied,
            term=member.store.term(member.applied),
            conf_state=member.conf_states[member.applied],
            data=b"",
        )
        member.store.compact(member.applied)

    # The duties of Ready; a write may stay under way while other things happen, and a crash may cut
    # it off.

    def work(self, member: Member) -> None:
        """Begin or finish what a peer has to do, or leave it for later."""
        node = member.node
        assert node is not None
        self._notice_role(member)
        while node.has_ready() or member.writing is not None:
            if member.writing is None:
                self._begin(member, node)
            if self.chance.random() < 0.15:
                return
            self._finish(member, node)
            self._notice_role(member)

    def _notice_role(self, member: Member) -> None:
        node = member.node
        assert node is not None
        if node.role is Role.LEADER and node.term not in self.checker.leaders:
            self.checker.on_election(node)
        self.checker.on_state(member)

    def _begin(self, member: Member, node: RawNode) -> None:
        ready = node.ready()
        member.writing = ready
        self._send(member, ready.messages_now)
        for read in ready.read_states:
            self.checker.on_read(read.context, read.index)

    def _finish(self, member: Member, node: RawNode) -> None:
        ready = member.writing
        assert ready is not None
        member.writing = None
        if ready.entries or ready.snapshot or ready.hard_state:
            self._write(member, ready)
        self._send(member, ready.messages_after_persist)
        for entry in ready.committed_entries:
            self._apply(member, node, entry)
        node.advance()

    def _write(self, member: Member, ready: Ready) -> None:
        if ready.entries:
            self.checker.on_write(member, ready)
        member.store.write(ready)
        if ready.must_sync:
            member.synced_commit = member.store.hard_state.commit
        if ready.snapshot is not None:
            assert ready.snapshot.index > member.applied
            member.applied = ready.snapshot.index
            member.conf_states = {member.applied: ready.snapshot.conf_state}

    def _apply(self, member: Member, node: RawNode, entry: Entry) -> None:
        self.checker.on_apply(member, entry)
        if entry.type is EntryType.CONF_CHANGE:
            node.apply_conf_change(decode_change(entry.data))
        member.applied = entry.index
        member.conf_states[entry.index] = node.conf_state()

    def _send(self, member: Member, messages: tuple[Message, ...]) -> None:
        for message in messages:
            self.checker.on_send(member, message)
            if len(self.network) < _IN_FLIGHT_MAX:
                self.network.append(message)
            else:
                self._report(message, arrived=False)

    # Runs.

    def disturb(self, events: int) -> None:
        """Let anything happen."""
        members = list(self.members.values())
        for _ in range(events):
            member = self.chance.choice(members)
            fate = self.chance.random()
            if fate < 0.66:
                self.deliver()
            elif fate < 0.84:
                self.tick(member)
            elif fate < 0.92:
                self.propose(member)
            elif fate < 0.95:
                self.read(member)
            else:
                self._disturb_rarely(member)
            if member.node is not None and member.writing is not None:
                self.work(member)

    def _disturb_rarely(self, member: Member) -> None:
        fate = self.chance.random()
        if member.node is None:
            self.start(member)
        elif fate < 0.15:
            self.crash(member)
        elif fate < 0.3:
            self.compact(member)
        elif fate < 0.4:
            self.transfer(member)
        elif fate < 0.6:
            self.cut_off = set(self.chance.sample(list(self.members), 1))
        elif fate < 0.8:
            self.cut_off = set()

    def heal(self, rounds: int) -> bool:
        """Start all, join all, deliver all; whether the configuration comes to agree in time."""
        self.cut_off = set()
        for member in self.members.values():
            if member.node is None:
                self.start(member)
        for _ in range(rounds):
            for member in self.members.values():
                self.tick(member)
            waiting, self.network = self.network, []
            for message in waiting:
                self.hand_over(message)
            if self._agreed():
                return True
        return False

    def _agreed(self) -> bool:
        for member in self.members.values():
            node = member.node
            if node is None or node.role is not Role.LEADER:
                continue
            last = node._raft.log.last_index()
            state = node.conf_state()
            peers = {*state.voters, *state.learners}
            return not state.voters_outgoing and all(
                self.members[peer].applied == last for peer in peers
            )
        return False
