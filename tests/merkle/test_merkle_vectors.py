"""The verifiers agree with every inclusion and consistency vector of transparency-dev/merkle."""

import json
from base64 import b64decode
from pathlib import Path

import pytest
from caretree.merkle.verify import (
    ConsistencyError,
    InclusionError,
    MalformedProofError,
    verify_consistency,
    verify_inclusion,
)

from tests.shared import shared_path

pytestmark = pytest.mark.vectors

# So many are there; a folder that lost some would pass without a word otherwise.
CASES_COUNT = 98
REFUSED_COUNT = 92


def read_cases(folder: str) -> dict[str, dict[str, object]]:
    paths = sorted(shared_path(folder).rglob("*.json"))
    return {str(path): json.loads(path.read_text(encoding="utf-8")) for path in paths}


def number(case: dict[str, object], field: str) -> int:
    value = case[field]
    assert isinstance(value, int)
    return value


def content(case: dict[str, object], field: str) -> bytes:
    value = case[field]
    assert isinstance(value, str)
    return b64decode(value)


def hashes(case: dict[str, object]) -> list[bytes]:
    value = case["proof"] or []
    assert isinstance(value, list)
    return [b64decode(item) for item in value]


def refuses_inclusion(case: dict[str, object]) -> bool:
    try:
        verify_inclusion(
            index=number(case, "leafIdx"),
            size=number(case, "treeSize"),
            leaf_hash=content(case, "leafHash"),
            proof=hashes(case),
            root=content(case, "root"),
        )
    except (MalformedProofError, InclusionError):
        return True
    return False


def refuses_consistency(case: dict[str, object]) -> bool:
    try:
        verify_consistency(
            size1=number(case, "size1"),
            size2=number(case, "size2"),
            proof=hashes(case),
            root1=content(case, "root1"),
            root2=content(case, "root2"),
        )
    except (MalformedProofError, ConsistencyError):
        return True
    return False


def wrongly_judged(verdicts: dict[str, bool], cases: dict[str, dict[str, object]]) -> list[str]:
    return [
        Path(path).name for path, refused in verdicts.items() if refused != cases[path]["wantErr"]
    ]


def test_every_inclusion_vector_is_accepted_or_refused_as_it_says() -> None:
    cases = read_cases("vectors/merkle/inclusion")
    verdicts = {path: refuses_inclusion(case) for path, case in cases.items()}
    assert wrongly_judged(verdicts, cases) == []
    assert (len(verdicts), sum(verdicts.values())) == (CASES_COUNT, REFUSED_COUNT)


def test_every_consistency_vector_is_accepted_or_refused_as_it_says() -> None:
    cases = read_cases("vectors/merkle/consistency")
    verdicts = {path: refuses_consistency(case) for path, case in cases.items()}
    assert wrongly_judged(verdicts, cases) == []
    assert (len(verdicts), sum(verdicts.values())) == (CASES_COUNT, REFUSED_COUNT)
