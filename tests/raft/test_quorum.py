"""Majorities, joint ones too: the shared vectors exactly, and a slow second opinion at random."""

import random
from collections.abc import Mapping

import pytest
from caretree.model.ids import PeerId
from caretree.raft.quorum import (
    EVERYTHING,
    JointConfig,
    VoteResult,
    majority_committed,
    majority_vote,
)

from tests.raft.datadriven import Case, parse_cases
from tests.raft.describing import VOTES
from tests.shared import shared_path

_FILES = ("joint_commit.txt", "joint_vote.txt", "majority_commit.txt", "majority_vote.txt")


def _peers(case: Case, key: str) -> list[PeerId]:
    return [PeerId(int(value)) for value in case.values(key) if value != "zero"]


def _by_voter(case: Case, key: str) -> dict[PeerId, str]:
    voters = dict.fromkeys(_peers(case, "cfg") + _peers(case, "cfgj"))
    given = dict(zip(voters, case.values(key), strict=True))
    return {voter: value for voter, value in given.items() if value != "_"}


def _bars(voters: frozenset[PeerId], acked: Mapping[PeerId, int]) -> list[str]:
    if not voters:
        return ["<empty majority quorum>"]
    width = len(voters)
    reached = sorted(acked.get(voter, 0) for voter in voters)
    lines = [" " * width + "    idx"]
    for voter in sorted(voters):
        bar = reached.index(acked.get(voter, 0))
        drawn = f"{'x' * bar}>{' ' * (width - bar)}" if voter in acked else f"?{' ' * width}"
        lines.append(f"{drawn} {acked.get(voter, 0):5}    (id={voter:x})")
    return lines


def _shown(committed: int) -> str:
    return "∞" if committed == EVERYTHING else str(committed)


def _run(case: Case) -> str:
    config = JointConfig(
        incoming=frozenset(_peers(case, "cfg")), outgoing=frozenset(_peers(case, "cfgj"))
    )
    mirrored = JointConfig(incoming=config.outgoing, outgoing=config.incoming)
    if case.command == "vote":
        votes = {voter: value == "y" for voter, value in _by_voter(case, "votes").items()}
        assert mirrored.vote_result(votes) is config.vote_result(votes)
        return VOTES[config.vote_result(votes)]
    acked = {voter: int(value) for voter, value in _by_voter(case, "idx").items()}
    assert mirrored.committed(acked) == config.committed(acked)
    bars = _bars(config.peers, acked)
    # An empty majority is drawn without a line's end.
    joined = "\n".join(bars) + ("\n" if config.peers else "")
    return joined + _shown(config.committed(acked))


@pytest.mark.vectors
@pytest.mark.parametrize("name", _FILES)
def test_a_shared_quorum_file_prints_what_it_says(name: str) -> None:
    cases = parse_cases((shared_path("vectors/etcd-raft/quorum/testdata") / name).read_text())

    assert cases
    for case in cases:
        assert _run(case) == case.expected, f"{name} line {case.line}"


def _slow_committed(voters: set[PeerId], acked: Mapping[PeerId, int]) -> int:
    # The highest value for which more than half of the voters reached it, counted one by one.
    candidates = [0, *acked.values()]
    return max(
        value
        for value in candidates
        if sum(acked.get(voter, 0) >= value for voter in voters) * 2 > len(voters)
    )


def test_committed_and_votes_agree_with_counting_one_by_one() -> None:
    seed = 20_240_611
    chance = random.Random(seed)
    for run in range(5_000):
        voters = {PeerId(peer) for peer in chance.sample(range(1, 12), chance.randint(1, 9))}
        known = chance.sample(range(1, 12), chance.randint(0, 11))
        acked = {PeerId(peer): chance.randint(0, 12) for peer in known}
        votes = {PeerId(peer): chance.random() < 0.5 for peer in known}
        hint = f"seed {seed} run {run}"

        assert majority_committed(voters, acked) == _slow_committed(voters, acked), hint
        assert majority_vote(voters, votes) is _slow_vote(voters, votes), hint


def _slow_vote(voters: set[PeerId], votes: Mapping[PeerId, bool]) -> VoteResult:
    if sum(votes.get(voter) is True for voter in voters) * 2 > len(voters):
        return VoteResult.WON
    if sum(votes.get(voter) is not False for voter in voters) * 2 > len(voters):
        return VoteResult.PENDING
    return VoteResult.LOST


def test_a_joint_quorum_is_a_majority_of_each_half_and_not_of_the_union() -> None:
    config = JointConfig(
        incoming=frozenset(map(PeerId, (1, 2, 3))), outgoing=frozenset(map(PeerId, (4, 5, 6)))
    )
    four_of_six = {PeerId(1): 7, PeerId(2): 7, PeerId(3): 7, PeerId(4): 7}

    assert config.committed(four_of_six) == 0
    assert config.vote_result(dict.fromkeys(four_of_six, True)) is VoteResult.PENDING
