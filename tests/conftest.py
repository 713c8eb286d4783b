"""The rules that hold for every test: how one may skip, and how Hypothesis reports."""

import os
from collections import Counter
from collections.abc import Generator

import hypothesis
import pytest

from tests import vector_reads
from tests.skip_rules import complaint, load_rules, rule_of

_RULES = load_rules()

# The machine is shared, so a slow example is no failure; a failing one prints how to repeat it.
hypothesis.settings.register_profile("caretree", deadline=None, print_blob=True)
hypothesis.settings.load_profile("caretree")


def pytest_configure() -> None:
    """Starts recording which vectors are read, when `make vectors` asks for it."""
    vector_reads.record_if_asked()


def pytest_unconfigure() -> None:
    """Writes down which vectors were read."""
    vector_reads.write_record()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The report of a test; failed when it skipped for no listed reason."""
    report = yield
    _judge(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The report of a collected module; failed when it skipped whole for no listed reason."""
    report = yield
    _judge(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says, by reason, how many tests skipped and what would let them run."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        rule = rule_of(_reason(report), _RULES)
        if rule is not None:
            counts[rule.id] += 1
    if not counts:
        return
    terminalreporter.section("skipped for a listed reason")
    for skip_id, count in sorted(counts.items()):
        rule = _RULES[skip_id]
        terminalreporter.write_line(f"{count:4} {skip_id}: {rule.reason}; {rule.remedy}")


def _judge(report: pytest.TestReport | pytest.CollectReport) -> None:
    # An expected failure (xfail) is reported as skipped too; it is none.
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    strict = os.environ.get("CI_STRICT") == "1"
    problem = complaint(_reason(report), _RULES, strict=strict)
    if problem is not None:
        report.outcome = "failed"
        report.longrepr = problem


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    longrepr = report.longrepr
    return longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
