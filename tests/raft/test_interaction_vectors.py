"""The shared interaction scenarios, compared line by line but for what their own core logs."""

import re
from dataclasses import replace

import pytest

from tests.raft.datadriven import Case, parse_cases
from tests.raft.interaction import Interaction
from tests.raft.vector_status import PASSED, VECTOR_FILES
from tests.shared import shared_path

pytestmark = pytest.mark.vectors

_LOGGED = re.compile(r"\s*(DEBUG|INFO|WARN|ERROR) ")


def _read(name: str) -> list[Case]:
    return parse_cases((shared_path("vectors/etcd-raft/testdata") / name).read_text())


def _without_log(expected: str) -> str:
    lines = [line for line in expected.split("\n") if not _LOGGED.match(line)]
    return "\n".join(lines) or "ok"


def _first_difference(cases: list[Case]) -> str | None:
    interaction = Interaction()
    for case in cases:
        expected = _without_log(case.expected)
        found = interaction.run(case)
        if found != expected:
            return f"line {case.line} {case.command}\nexpected:\n{expected}\nfound:\n{found}"
    return None


def _passing() -> list[str]:
    return [
        name
        for name, status in VECTOR_FILES.items()
        if "/" not in name and (status == PASSED or status[0] == PASSED)
    ]


@pytest.mark.parametrize("name", _passing())
def test_a_shared_scenario_prints_what_its_file_says(name: str) -> None:
    cases = _read(name)

    assert cases
    assert _first_difference(cases) is None


# File, what an output in it says, and what it is made to say instead.
_MUTATIONS = [
    ("campaign.txt", "2->1 MsgVoteResp Term:1", "2->1 MsgVoteResp Term:2"),
    ("campaign.txt", "HardState Term:1 Vote:1 Commit:3", "HardState Term:1 Vote:1 Commit:2"),
    ("campaign.txt", "Lead:1 State:StateLeader", "Lead:1 State:StateFollower"),
    ("campaign.txt", "  2->1 MsgAppResp Term:1 Log:0/3\n", ""),
    ("single_node.txt", "MustSync=true", "MustSync=false"),
    ("lagging_commit.txt", "match=11", "match=12"),
    ("prevote.txt", "Rejected (Hint: 0)", "Rejected (Hint: 1)"),
    ("checkquorum.txt", "HardState Term:2 Commit:11", "HardState Term:2 Vote:2 Commit:11"),
    ("replicate_pause.txt", "inflight=3[full]", "inflight=3"),
    ("probe_and_replicate.txt", "6/20 EntryNormal", "5/20 EntryNormal"),
]


@pytest.mark.parametrize(("name", "old", "new"), _MUTATIONS)
def test_a_mutated_expectation_is_reported(name: str, old: str, new: str) -> None:
    cases = _read(name)
    place = next(place for place, case in enumerate(cases) if old in case.expected)
    mutated = replace(cases[place], expected=cases[place].expected.replace(old, new, 1))

    difference = _first_difference([*cases[:place], mutated, *cases[place + 1 :]])

    assert difference is not None
    assert f"line {mutated.line} " in difference
