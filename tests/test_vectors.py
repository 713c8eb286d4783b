"""No vector file of others is silently left out, and the table that says so is tested too."""

import pytest

from tests.shared import PROJECT_ROOT, shared_path
from tests.vector_table import (
    Claim,
    Outcome,
    load_claims,
    problems,
    table,
    unread,
    vector_files,
)


def test_every_vector_file_is_spoken_of_exactly_once() -> None:
    files = vector_files(shared_path("vectors"))

    assert problems(files, load_claims()) == []


def test_every_refusal_names_a_decision_that_exists() -> None:
    folder = PROJECT_ROOT / "ops" / "docs" / "adr"
    numbers = {path.name[:4] for path in folder.glob("[0-9]*.md")}

    assert {claim.adr for claim in load_claims() if claim.adr is not None} <= numbers


def test_licences_and_notes_on_origin_are_no_vectors() -> None:
    files = vector_files(shared_path("vectors"))

    assert "etcd-raft/testdata/campaign.txt" in files
    assert "merkle/LICENSE" not in files
    assert "porcupine/LICENSE.md" not in files
    assert "hpke/SOURCE.txt" not in files


@pytest.mark.parametrize(
    ("patterns", "complaint"),
    [
        ([], "a/one.txt: no vector_status.py speaks of it"),
        (["a/**", "one.txt"], "a/one.txt: claimed more than once (here, here)"),
        (["a/**", "b/**"], "here: b/** matches no file"),
    ],
)
def test_the_table_notices_what_is_absent_twice_or_stale(
    patterns: list[str], complaint: str
) -> None:
    claims = [_passed(pattern) for pattern in patterns]

    assert problems(["a/one.txt"], claims) == [complaint]


def test_a_file_said_to_pass_that_no_test_opened_is_noticed() -> None:
    claims = [_passed("a/**")]

    assert unread(["a/one.txt", "a/two.txt"], claims, frozenset({"a/two.txt"})) == ["a/one.txt"]


def test_the_table_counts_by_folder() -> None:
    rows = table(["a/b/one.txt", "a/b/c/two.txt", "d/three.txt"], [_passed("*.txt")])

    assert [(row.group, row.counts[Outcome.PASSED]) for row in rows] == [("a/b", 2), ("d", 1)]


def _passed(pattern: str) -> Claim:
    return Claim(source="here", pattern=pattern, outcome=Outcome.PASSED, text="passed", adr=None)
