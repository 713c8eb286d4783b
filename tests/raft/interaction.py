"""Peers in one process that act as a scenario file says, and print what they hand out."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from caretree.model.errors import CaretreeError
from caretree.model.ids import LogIndex, PeerId, Term
from caretree.raft.core import RaftConfig, Role
from caretree.raft.errors import ConfChangeError, ProposalDroppedError, UnknownPeerError
from caretree.raft.messages import Entry, EntryType, Message, MessageType, SnapshotMeta
from caretree.raft.rawnode import RawNode

from tests.raft.datadriven import Case
from tests.raft.describing import (
    MESSAGES,
    ROLES,
    TRANSITIONS,
    decode_change,
    describe_entries,
    describe_message,
    describe_progress,
    describe_ready,
    encode_change,
    parse_changes,
)
from tests.raft.memory_store import EMPTY_SNAPSHOT, MemoryLogStore

UNLIMITED: Final = 2**62

CONFIG: Final = RaftConfig(
    peer=PeerId(1),
    election_ticks=3,
    heartbeat_ticks=1,
    applied=LogIndex(0),
    message_bytes_max=UNLIMITED,
    committed_bytes_max=UNLIMITED,
    uncommitted_bytes_max=UNLIMITED,
    inflight_messages_max=UNLIMITED,
    inflight_bytes_max=UNLIMITED,
    reads_max=64,
    pre_vote=False,
    check_quorum=False,
    step_down_on_removal=False,
)


@dataclass(slots=True, kw_only=True)
class Peer:
    """One peer, its store, and a snapshot for each entry that it applied."""

    node: RawNode
    store: MemoryLogStore
    history: list[SnapshotMeta] = field(default_factory=list)


class Interaction:
    """The state of one scenario."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.in_flight: list[Message] = []
        self.quiet = False
        self._commands: dict[str, Callable[[Case], list[str]]] = {
            "add-nodes": self._add_nodes,
            "campaign": self._campaign,
            "compact": self._compact,
            "deliver-msgs": self._deliver_msgs,
            "forget-leader": self._forget_leader,
            "log-level": self._log_level,
            "process-ready": self._process_ready,
            "propose": self._propose,
            "propose-conf-change": self._propose_conf_change,
            "raft-log": self._raft_log,
            "raft-state": self._raft_state,
            "report-unreachable": self._report_unreachable,
            "send-snapshot": self._send_snapshot,
            "set-randomized-election-timeout": self._set_election_timeout,
            "stabilize": self._stabilize,
            "status": self._status,
            "tick-election": self._tick_election,
            "tick-heartbeat": self._tick_heartbeat,
            "transfer-leadership": self._transfer_leadership,
        }

    def run(self, case: Case) -> str:
        """What the case prints; "ok" for nothing, and for everything but an error at level none."""
        was_quiet = self.quiet
        try:
            lines = self._commands[case.command](case)
            quiet = self.quiet
        except CaretreeError as error:
            lines, quiet = [_error_text(error)], False
        if case.command == "stabilize":
            self.quiet = was_quiet
        return "\n".join(lines) if lines and not quiet else "ok"

    def _peer(self, case: Case) -> Peer:
        return self.peers[int(case.plain()[0]) - 1]

    def _add_nodes(self, case: Case) -> list[str]:
        index = LogIndex(int(case.value("index", "0")))
        voters = tuple(PeerId(int(value)) for value in case.values("voters"))
        learners = tuple(PeerId(int(value)) for value in case.values("learners"))
        snapshot = EMPTY_SNAPSHOT
        if index:
            snapshot = replace(
                EMPTY_SNAPSHOT,
                index=index,
                term=Term(1),
                conf_state=replace(EMPTY_SNAPSHOT.conf_state, voters=voters, learners=learners),
                data=case.value("content", "").encode(),
            )
        for _ in range(int(case.plain()[0])):
            self._add_node(case, snapshot)
        return []

    def _add_node(self, case: Case, snapshot: SnapshotMeta) -> None:
        store = MemoryLogStore(snapshot)
        config = replace(
            CONFIG,
            peer=PeerId(len(self.peers) + 1),
            applied=snapshot.index,
            inflight_messages_max=int(case.value("inflight", str(UNLIMITED))),
            pre_vote=case.flag("prevote"),
            check_quorum=case.flag("checkquorum"),
            step_down_on_removal=case.flag("step-down-on-removal"),
        )
        node = RawNode(config, store, jitter=lambda ticks: ticks - 1)
        self.peers.append(Peer(node=node, store=store, history=[snapshot]))

    def _campaign(self, case: Case) -> list[str]:
        self._peer(case).node.campaign()
        return []

    def _compact(self, case: Case) -> list[str]:
        self._peer(case).store.compact(LogIndex(int(case.plain()[1])))
        return self._raft_log(case)

    def _deliver_msgs(self, case: Case) -> list[str]:
        kind = case.value("type", "")
        lines: list[str] = []
        for to in case.plain():
            lines += self._deliver(PeerId(int(to)), kind=kind)
        for to in case.values("drop"):
            for message in self._take(PeerId(int(to)), kind=kind):
                first, *rest = describe_message(message)
                lines += [f"dropped: {first}", *rest]
        return lines or ["no messages"]

    def _take(self, to: PeerId, *, kind: str) -> list[Message]:
        taken = [
            message
            for message in self.in_flight
            if message.to == to and kind in {"", MESSAGES[message.type]}
        ]
        self.in_flight = [message for message in self.in_flight if message not in taken]
        return taken

    def _deliver(self, to: PeerId, *, kind: str) -> list[str]:
        lines: list[str] = []
        for message in self._take(to, kind=kind):
            lines += describe_message(message)
            try:
                self.peers[to - 1].node.step(message)
            except UnknownPeerError as error:
                lines.append(_error_text(error))
        return lines

    def _forget_leader(self, case: Case) -> list[str]:
        self._peer(case).node.forget_leader()
        return []

    def _log_level(self, case: Case) -> list[str]:
        self.quiet = case.plain()[0] == "none"
        return []

    def _process_ready(self, case: Case) -> list[str]:
        places = [int(plain) - 1 for plain in case.plain()]
        if len(places) == 1:
            return self._process(places[0])
        return [line for place in places for line in self._process_under_header(place)]

    def _process_under_header(self, place: int) -> list[str]:
        return [f"> {place + 1} handling Ready", *_indented(self._process(place))]

    def _process(self, place: int) -> list[str]:
        peer = self.peers[place]
        ready = peer.node.ready()
        lines = describe_ready(ready, stored=peer.store.hard_state)
        peer.store.write(ready)
        if ready.snapshot is not None:
            peer.history.append(ready.snapshot)
        for entry in ready.committed_entries:
            _apply(peer, entry)
        self.in_flight += ready.messages
        peer.node.advance()
        return lines

    def _propose(self, case: Case) -> list[str]:
        self._peer(case).node.propose(case.plain()[1].encode(), payload_bytes=0)
        return []

    def _propose_conf_change(self, case: Case) -> list[str]:
        peer = self._peer(case)
        _relax_own_term_rule(peer.node)
        transition = case.value("transition", "auto")
        change = replace(
            decode_change(b""),
            transition=TRANSITIONS[transition],
            changes=parse_changes(case.text),
        )
        data = encode_change(case.text, transition=transition, old_form=case.flag("v1"))
        try:
            peer.node.propose_conf_change(change, data=data)
        except ConfChangeError:
            # The files' core puts an empty entry in the place of a refused change; ours raises.
            peer.node.propose(b"", payload_bytes=0)
        return []

    def _raft_log(self, case: Case) -> list[str]:
        store = self._peer(case).store
        first, last = store.first_index(), store.last_index()
        if last < first:
            return [f"log is empty: first index={first}, last index={last}"]
        return describe_entries(store.all_entries())

    def _raft_state(self, _case: Case) -> list[str]:
        lines = []
        for peer in self.peers:
            status = peer.node.status()
            basic = status.basic
            voter = "Voter" if basic.peer in status.config.voters.peers else "Non-Voter"
            lines.append(
                f"{basic.peer}: {ROLES[basic.role]} ({voter}) Term:{basic.term} Lead:{basic.lead}"
            )
        return lines

    def _report_unreachable(self, case: Case) -> list[str]:
        self._peer(case).node.report_unreachable(PeerId(int(case.plain()[1])))
        return []

    def _send_snapshot(self, case: Case) -> list[str]:
        sender = self._peer(case)
        message = Message(
            type=MessageType.SNAP,
            sender=PeerId(int(case.plain()[0])),
            to=PeerId(int(case.plain()[1])),
            term=sender.node.term,
            snapshot=sender.history[-1],
        )
        self.in_flight.append(message)
        return describe_message(message)

    def _set_election_timeout(self, case: Case) -> list[str]:
        ticks = int(case.value("timeout", "0"))
        self._peer(case).node._raft.randomized_election_ticks = ticks
        return []

    def _stabilize(self, case: Case) -> list[str]:
        if case.value("log-level", "") == "none":
            self.quiet = True
        places = [int(plain) - 1 for plain in case.plain()] or list(range(len(self.peers)))
        lines: list[str] = []
        while True:
            before = len(lines)
            for place in places:
                if self.peers[place].node.has_ready():
                    lines += self._process_under_header(place)
            for place in places:
                delivered = self._deliver(PeerId(place + 1), kind="")
                if delivered:
                    lines += [f"> {place + 1} receiving messages", *_indented(delivered)]
            if len(lines) == before:
                return lines

    def _status(self, case: Case) -> list[str]:
        return describe_progress(self._peer(case).node.status().progress)

    def _tick_election(self, case: Case) -> list[str]:
        for _ in range(CONFIG.election_ticks):
            self._peer(case).node.tick()
        return []

    def _tick_heartbeat(self, case: Case) -> list[str]:
        self._peer(case).node.tick()
        return []

    def _transfer_leadership(self, case: Case) -> list[str]:
        node = self.peers[int(case.value("from", "0")) - 1].node
        node.transfer_leader(PeerId(int(case.value("to", "0"))))
        return []


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _error_text(error: CaretreeError) -> str:
    if isinstance(error, UnknownPeerError):
        return "raft: cannot step as peer not found"
    if isinstance(error, ProposalDroppedError):
        return "raft proposal dropped"
    return f"{type(error).__name__}: {error}"


def _relax_own_term_rule(node: RawNode) -> None:
    # The files let a new leader change the configuration before its term's first entry is applied,
    # once all earlier entries are. Our core waits for that entry too; take that back for these
    # files alone.
    raft = node._raft
    pending = raft.pending_conf_index
    if raft.role is Role.LEADER and pending > raft.log.applied:
        (entry,) = raft.log.slice(pending, LogIndex(pending + 1), bytes_max=UNLIMITED)
        if entry.type is EntryType.NORMAL:
            raft.pending_conf_index = LogIndex(pending - 1)


def _apply(peer: Peer, entry: Entry) -> None:
    last = peer.history[-1]
    state, data = last.conf_state, entry.data
    if entry.type is EntryType.CONF_CHANGE:
        state = peer.node.apply_conf_change(decode_change(entry.data))
        data = b""
    snapshot = SnapshotMeta(
        index=entry.index, term=entry.term, conf_state=state, data=last.data + data
    )
    peer.history.append(snapshot)
    peer.store.latest_snapshot = snapshot
