"""The alert rules hold, each fires and stays quiet in a test, and each has its runbook."""

import re
import subprocess
from typing import Final

from tests.ops.series import names_in, scraped_names
from tests.shared import PROJECT_ROOT, require_tool

FOLDER: Final = PROJECT_ROOT / "ops" / "prometheus"
RULES: Final = (FOLDER / "caretree.rules.yml").read_text(encoding="utf-8")
TESTS: Final = (FOLDER / "caretree_test.yml").read_text(encoding="utf-8")
RUNBOOK: Final = (PROJECT_ROOT / "ops" / "docs" / "runbook.md").read_text(encoding="utf-8")


def test_promtool_accepts_the_rules() -> None:
    command = [require_tool("promtool"), "check", "rules", "--lint-fatal", "caretree.rules.yml"]

    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_pass_their_tests() -> None:
    command = [require_tool("promtool"), "test", "rules", "caretree_test.yml"]

    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_shown_firing_for_one_peer_alone_and_quiet_before() -> None:
    shown = re.findall(
        r"alertname: (\w+)\n +exp_alerts:(.*?)(?= {6}- eval_time|\Z|\n\n)", TESTS, re.DOTALL
    )
    quiet = {name for name, expected in shown if expected.strip() == "[]"}
    fired = {name for name, expected in shown if "instance: bad" in expected}

    assert quiet == set(_alerts())
    assert fired == set(_alerts())
    assert "instance: good" not in TESTS
    assert all(expected.count("exp_labels") <= 1 for _, expected in shown)


def test_every_test_has_a_peer_that_stays_quiet() -> None:
    groups = TESTS.split("  - name: ")[1:]

    assert [group.splitlines()[0] for group in groups if 'instance="good"' not in group] == []


def test_every_alert_s_runbook_is_a_section() -> None:
    sections = {_anchor(heading) for heading in re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE)}

    for name, alert in _alerts().items():
        runbook = re.search(r"runbook: runbook\.md#(\S+)", alert)
        assert runbook is not None, name
        assert runbook[1] in sections, name


def test_every_link_within_the_runbook_leads_somewhere() -> None:
    sections = {_anchor(heading) for heading in re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE)}

    assert set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK)) - sections == set()


def test_every_alert_has_a_severity_a_summary_and_a_description() -> None:
    for name, alert in _alerts().items():
        assert re.search(r"severity: (?:warning|critical)\n", alert), name
        assert "summary: " in alert, name
        assert "description: " in alert, name


def test_the_rules_ask_only_for_series_that_exist() -> None:
    assert names_in("".join(_alerts().values())) - scraped_names() == set()


def _alerts() -> dict[str, str]:
    """The text of each alert by its name."""
    texts = RULES.split("      - alert: ")[1:]
    return {text.splitlines()[0]: text for text in texts}


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9-]", "", heading.lower().replace(" ", "-"))
