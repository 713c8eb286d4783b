"""Majorities and joint majorities, as functions of who said what (Raft 5.2, thesis 4.3)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from caretree.model.ids import PeerId

# What a configuration without voters has committed, so that a half-empty joint quorum follows its
# other half.
EVERYTHING: Final = 2**64 - 1


class VoteResult(Enum):
    """What is known of a vote's outcome."""

    PENDING = 1
    LOST = 2
    WON = 3


def majority_committed(voters: Collection[PeerId], acked: Mapping[PeerId, int]) -> int:
    """The largest value that a majority of `voters` reached; who is not in `acked` reached 0."""
    if not voters:
        return EVERYTHING
    reached = sorted(acked.get(voter, 0) for voter in voters)
    return reached[(len(reached) - 1) // 2]


def majority_vote(voters: Collection[PeerId], votes: Mapping[PeerId, bool]) -> VoteResult:
    """Whether a majority of `voters` granted, still can, or no longer can; no voters grant all."""
    if not voters:
        return VoteResult.WON
    needed = len(voters) // 2 + 1
    granted = sum(1 for voter in voters if votes.get(voter, False))
    missing = sum(1 for voter in voters if voter not in votes)
    if granted >= needed:
        return VoteResult.WON
    return VoteResult.PENDING if granted + missing >= needed else VoteResult.LOST


@dataclass(frozen=True, slots=True, kw_only=True)
class JointConfig:
    """The voters: incoming alone, or both halves while one configuration replaces the other."""

    incoming: frozenset[PeerId] = frozenset()
    outgoing: frozenset[PeerId] = frozenset()

    @property
    def is_joint(self) -> bool:
        """Whether both halves must agree."""
        return bool(self.outgoing)

    @property
    def peers(self) -> frozenset[PeerId]:
        """The voters of either half."""
        return self.incoming | self.outgoing if self.outgoing else self.incoming

    def committed(self, acked: Mapping[PeerId, int]) -> int:
        """The largest value that a majority of each half has reached."""
        reached = majority_committed(self.incoming, acked)
        return min(reached, majority_committed(self.outgoing, acked)) if self.outgoing else reached

    def vote_result(self, votes: Mapping[PeerId, bool]) -> VoteResult:
        """Lost if either half lost, won if both won."""
        results = (majority_vote(self.incoming, votes), majority_vote(self.outgoing, votes))
        if VoteResult.LOST in results:
            return VoteResult.LOST
        return VoteResult.PENDING if VoteResult.PENDING in results else VoteResult.WON
