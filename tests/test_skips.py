"""How a test may skip: for a reason that tests/skips.toml lists, or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shared import PROJECT_ROOT
from tests.skip_rules import complaint, load_rules

_SAMPLE = """
import pytest

def test_listed(): pytest.skip("shared-absent: no vectors")
def test_tool(): pytest.skip("debian-tool-absent: promtool")
def test_unlisted(): pytest.skip("did not feel like it")
@pytest.mark.skipif(True, reason="not on this machine")
def test_marked(): pass
@pytest.mark.xfail(strict=True)
def test_expected_failure(): assert False
"""


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(
    ("strict", "verdict"),
    [
        ("0", "1 failed, 2 skipped, 1 xfailed, 1 error"),
        ("1", "2 failed, 1 skipped, 1 xfailed, 1 error"),
    ],
)
def test_a_skip_for_an_unlisted_reason_is_a_failure(
    tmp_path: Path, strict: str, verdict: str, workers: str
) -> None:
    sample = tmp_path / "test_sample.py"
    sample.write_text(_SAMPLE, encoding="utf-8")

    output = _run_pytest(sample, strict=strict, workers=workers)

    assert verdict in output
    assert "did not feel like it" in output
    assert "1 shared-absent: the vectors and data of others" in output


def test_a_module_that_skips_whole_for_an_unlisted_reason_is_an_error(tmp_path: Path) -> None:
    sample = tmp_path / "test_sample.py"
    sample.write_text("import pytest\npytest.importorskip('no_such_module')\n", encoding="utf-8")

    output = _run_pytest(sample, strict="0", workers="0")

    assert "1 error" in output


def test_every_rule_says_why_and_what_helps() -> None:
    for rule in load_rules().values():
        assert rule.reason
        assert rule.remedy


def test_only_the_shared_folder_may_be_absent_in_ci() -> None:
    assert [rule.id for rule in load_rules().values() if rule.allowed_in_ci] == ["shared-absent"]


def test_a_reason_must_begin_with_the_id_and_a_colon() -> None:
    rules = load_rules()

    assert complaint("Skipped: shared-absent: vectors/hpke", rules, strict=True) is None
    assert complaint("shared-absent", rules, strict=False) is not None
    assert complaint("no shared-absent: vectors", rules, strict=False) is not None


def _run_pytest(sample: Path, *, strict: str, workers: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-n", workers, "-p", "tests.conftest"]
    command += ["-c", str(PROJECT_ROOT / "pyproject.toml"), "--rootdir", str(sample.parent)]
    command += ["-p", "no:cacheprovider", str(sample)]
    done = subprocess.run(
        command,
        cwd=PROJECT_ROOT,
        env={**os.environ, "CI_STRICT": strict},
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr
