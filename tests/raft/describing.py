"""The text in which the shared scenario files show entries, messages, states and Ready."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from caretree.model.ids import PeerId
from caretree.raft.core import Role
from caretree.raft.messages import (
    ChangeKind,
    ConfChange,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    PeerChange,
    SnapshotMeta,
    Transition,
)
from caretree.raft.progress import ProgressState
from caretree.raft.quorum import VoteResult
from caretree.raft.ready import ProgressStatus, Ready, SoftState
from caretree.raft.tracker import TrackerConfig

ROLES: Final[Mapping[Role, str]] = {
    Role.FOLLOWER: "StateFollower",
    Role.PRE_CANDIDATE: "StatePreCandidate",
    Role.CANDIDATE: "StateCandidate",
    Role.LEADER: "StateLeader",
}
MESSAGES: Final[Mapping[MessageType, str]] = {
    MessageType.APP: "MsgApp",
    MessageType.APP_RESP: "MsgAppResp",
    MessageType.VOTE: "MsgVote",
    MessageType.VOTE_RESP: "MsgVoteResp",
    MessageType.PRE_VOTE: "MsgPreVote",
    MessageType.PRE_VOTE_RESP: "MsgPreVoteResp",
    MessageType.HEARTBEAT: "MsgHeartbeat",
    MessageType.HEARTBEAT_RESP: "MsgHeartbeatResp",
    MessageType.SNAP: "MsgSnap",
    MessageType.TIMEOUT_NOW: "MsgTimeoutNow",
    MessageType.READ_INDEX: "MsgReadIndex",
    MessageType.READ_INDEX_RESP: "MsgReadIndexResp",
    MessageType.TRANSFER_LEADER: "MsgTransferLeader",
}
PROGRESS: Final[Mapping[ProgressState, str]] = {
    ProgressState.PROBE: "StateProbe",
    ProgressState.REPLICATE: "StateReplicate",
    ProgressState.SNAPSHOT: "StateSnapshot",
}
VOTES: Final[Mapping[VoteResult, str]] = {
    VoteResult.PENDING: "VotePending",
    VoteResult.LOST: "VoteLost",
    VoteResult.WON: "VoteWon",
}
_VOTES: Final = frozenset(
    {
        MessageType.VOTE,
        MessageType.PRE_VOTE,
        MessageType.VOTE_RESP,
        MessageType.PRE_VOTE_RESP,
    }
)
_LETTERS: Final[Mapping[str, ChangeKind]] = {
    "v": ChangeKind.ADD_VOTER,
    "l": ChangeKind.ADD_LEARNER,
    "r": ChangeKind.REMOVE,
    "u": ChangeKind.UPDATE,
}
TRANSITIONS: Final[Mapping[str, Transition]] = {
    "auto": Transition.AUTO,
    "implicit": Transition.JOINT_IMPLICIT,
    "explicit": Transition.JOINT_EXPLICIT,
}


def parse_changes(text: str) -> tuple[PeerChange, ...]:
    """Steps as the files write them: v1 l2 r3 u4."""
    return tuple(
        PeerChange(kind=_LETTERS[word[0]], peer=PeerId(int(word[1:]))) for word in text.split()
    )


def encode_change(changes: str, *, transition: str, old_form: bool) -> bytes:
    """The harness's encoding of a change; leaving a joint configuration is empty."""
    if not changes and transition == "auto":
        return b""
    return f"{'old' if old_form else 'new'}|{transition}|{changes.strip()}".encode()


def decode_change(data: bytes) -> ConfChange:
    """The inverse of `encode_change`."""
    if not data:
        return ConfChange()
    _, transition, changes = data.decode().split("|")
    return ConfChange(transition=TRANSITIONS[transition], changes=parse_changes(changes))


def describe_entry(entry: Entry) -> str:
    """Term, index, type and content of an entry."""
    if entry.type is EntryType.NORMAL:
        return f"{entry.term}/{entry.index} EntryNormal {json.dumps(entry.data.decode())}"
    form, _, rest = entry.data.decode().partition("|")
    name = "EntryConfChange" if form == "old" else "EntryConfChangeV2"
    changes = rest.partition("|")[2]
    return f"{entry.term}/{entry.index} {name} {changes}".rstrip()


def describe_entries(entries: Sequence[Entry]) -> list[str]:
    """One line for each entry."""
    return [describe_entry(entry) for entry in entries]


def _list(peers: Sequence[PeerId]) -> str:
    return "[" + " ".join(str(peer) for peer in peers) + "]"


def describe_snapshot(snapshot: SnapshotMeta) -> str:
    """Index, term and configuration of a snapshot."""
    state: ConfState = snapshot.conf_state
    return (
        f"Index:{snapshot.index} Term:{snapshot.term} ConfState:Voters:{_list(state.voters)}"
        f" VotersOutgoing:{_list(state.voters_outgoing)} Learners:{_list(state.learners)}"
        f" LearnersNext:{_list(state.learners_next)} AutoLeave:{str(state.auto_leave).lower()}"
    )


def describe_message(message: Message) -> list[str]:
    """A message, on several lines when it holds several entries or a snapshot."""
    text = (
        f"{message.sender:x}->{message.to:x} {MESSAGES[message.type]}"
        f" Term:{message.term} Log:{message.log_term}/{message.index}"
    )
    if message.reject:
        text += f" Rejected (Hint: {message.reject_hint})"
    # Ours tell in vote requests and refusals what is committed; the files' do not.
    if message.commit and message.type not in _VOTES:
        text += f" Commit:{message.commit}"
    lines = [text]
    if len(message.entries) == 1:
        lines = [f"{text} Entries:[{describe_entry(message.entries[0])}]"]
    elif message.entries:
        inner = [f"  {line}" for line in describe_entries(message.entries)]
        lines = [f"{text} Entries:[", *inner, "]"]
    if message.snapshot is not None:
        lines.append(f"  Snapshot: {describe_snapshot(message.snapshot)}")
    return lines


def describe_messages(messages: Iterable[Message]) -> list[str]:
    """All messages, one after the other."""
    return [line for message in messages for line in describe_message(message)]


def describe_hard_state(state: HardState) -> str:
    """Term, vote if there is one, commit."""
    vote = f" Vote:{state.vote}" if state.vote else ""
    return f"Term:{state.term}{vote} Commit:{state.commit}"


def describe_soft_state(state: SoftState) -> str:
    """Leader and role."""
    return f"Lead:{state.lead} State:{ROLES[state.role]}"


def describe_ready(ready: Ready, *, stored: HardState) -> list[str]:
    """A Ready as the files show it, for a peer whose store holds `stored`."""
    lines: list[str] = []
    if ready.soft_state is not None:
        lines.append(describe_soft_state(ready.soft_state))
    if ready.hard_state is not None:
        lines.append(f"HardState {describe_hard_state(ready.hard_state)}")
    if ready.entries:
        lines += ["Entries:", *describe_entries(ready.entries)]
    if ready.snapshot is not None:
        lines.append(f"Snapshot {describe_snapshot(ready.snapshot)}")
    if ready.committed_entries:
        lines += ["CommittedEntries:", *describe_entries(ready.committed_entries)]
    if ready.messages:
        lines += ["Messages:", *describe_messages(ready.messages)]
    if not lines:
        return ["<empty Ready>"]
    return [f"Ready MustSync={str(_files_must_sync(ready, stored)).lower()}:", *lines]


def _files_must_sync(ready: Ready, stored: HardState) -> bool:
    # The files do not count a snapshot here, because their store syncs it anyway; our Ready does.
    if ready.snapshot is None or not ready.must_sync:
        return ready.must_sync
    state = ready.hard_state or stored
    return bool(ready.entries) or (state.term, state.vote) != (stored.term, stored.vote)


def _set(peers: frozenset[PeerId]) -> str:
    return "(" + " ".join(f"{peer:x}" for peer in sorted(peers)) + ")"


def describe_config(config: TrackerConfig) -> str:
    """A configuration on one line."""
    text = f"voters={_set(config.voters.incoming)}"
    if config.voters.outgoing:
        text += f"&&{_set(config.voters.outgoing)}"
    if config.learners:
        text += f" learners={_set(config.learners)}"
    if config.learners_next:
        text += f" learners_next={_set(config.learners_next)}"
    return text + (" autoleave" if config.auto_leave else "")


def describe_progress(progress: Mapping[PeerId, ProgressStatus]) -> list[str]:
    """One line for each follower."""
    return [f"{peer}: {_one_progress(status)}" for peer, status in sorted(progress.items())]


def _one_progress(status: ProgressStatus) -> str:
    text = f"{PROGRESS[status.state]} match={status.match} next={status.next_index}"
    text += " learner" if status.is_learner else ""
    text += " paused" if status.paused else ""
    text += f" pendingSnap={status.pending_snapshot}" if status.pending_snapshot else ""
    text += "" if status.recent_active else " inactive"
    if status.inflight_count:
        text += f" inflight={status.inflight_count}" + ("[full]" if status.inflight_full else "")
    return text
