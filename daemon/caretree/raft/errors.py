"""What the core refuses, and with which fate (see `caretree.model.errors`)."""

from enum import Enum
from typing import Final

from caretree.model.errors import FatalError, RejectedError, UnavailableError
from caretree.model.ids import LogIndex, PeerId

# The core knows ticks, not milliseconds: this is a guess at one heartbeat, for a caller without a
# better one.
RETRY_AFTER_MS: Final = 100


class DropReason(Enum):
    """Why a proposal or a read was not taken. Nothing of it is in any log."""

    NO_LEADER = "no leader is known"
    NOT_LEADER = "this peer is not the leader"
    REMOVED = "this peer leads, and is no longer in the configuration"
    TRANSFERRING = "leadership is being transferred"
    UNCOMMITTED_FULL = "too many bytes wait to be committed"
    READS_FULL = "too many reads wait to be confirmed"


class DroppedError(UnavailableError):
    """The proposal, read or transfer was not taken; the same may be taken later or elsewhere."""

    def __init__(self, reason: DropReason) -> None:
        super().__init__(reason.value, retry_after_ms=RETRY_AFTER_MS)
        self.reason = reason


class ProposalDroppedError(DroppedError):
    """The proposal is in no log and never will be."""


class ReadDroppedError(DroppedError):
    """The read will never be answered."""


class ConfChangeReason(Enum):
    """What is wrong with a configuration change."""

    ALREADY_JOINT = "the configuration is joint already"
    NOT_JOINT = "there is no joint configuration to leave"
    NO_VOTERS_TO_JOIN = "a configuration without voters cannot become joint"
    NO_VOTERS_LEFT = "no voter would be left"
    SIMPLE_WHILE_JOINT = "a joint configuration must be left first"
    TOO_MANY_VOTERS_CHANGED = "two or more voters change, which takes a joint configuration"
    CHANGE_PENDING = "an earlier change, or this term's first entry, is not applied yet"


class ConfChangeError(RejectedError):
    """The change does not fit the configuration that it would apply to; nothing was changed."""

    def __init__(self, reason: ConfChangeReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class ConfStateError(RejectedError):
    """A configuration contradicts itself."""


class StoredStateError(FatalError):
    """What the log store keeps was never written by this core: it was damaged or mixed up."""


class TransferRefusedError(RejectedError):
    """Leadership cannot go to this peer: it is unknown, or a learner."""

    def __init__(self, transferee: PeerId) -> None:
        super().__init__(f"peer {transferee:016x} cannot lead: expected a voter")
        self.transferee = transferee


class MalformedMessageError(RejectedError):
    """A message that no correct peer sends; it was dropped before it changed anything."""


class UnknownPeerError(RejectedError):
    """An answer from a peer that is not in the configuration; it was dropped."""

    def __init__(self, sender: PeerId) -> None:
        super().__init__(f"peer {sender:016x} is not in the configuration")
        self.sender = sender


class RaftConfigError(RejectedError):
    """A setting that the core cannot run with."""


class TruncationRefusedError(FatalError):
    """A leader contradicts an entry committed here (Raft 5.4.3): it lies, or a log was lost."""

    def __init__(self, *, conflict: LogIndex, committed: LogIndex, sender: PeerId) -> None:
        super().__init__(
            f"peer {sender:016x} contradicts log index {conflict}, committed to {committed}"
        )
        self.conflict = conflict
        self.committed = committed
        self.sender = sender


class LogLostError(FatalError):
    """The log ends before what is known to be committed: it was cut, damaged or swapped."""

    def __init__(self, *, committed: LogIndex, last_index: LogIndex) -> None:
        super().__init__(f"log index {committed} is committed, but the log ends at {last_index}")
        self.committed = committed
        self.last_index = last_index
