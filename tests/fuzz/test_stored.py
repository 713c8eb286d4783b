"""The contract of every target in: ledger, rows."""

import pytest

from tests.fuzz.running import check_changed, check_kept, targets_of
from tests.fuzz.target import Target
from tests.fuzz.targets import ledger, rows

TARGETS = targets_of(ledger, rows)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_kept_input_is_handled(target: Target) -> None:
    check_kept(target)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_changed_input_is_handled(target: Target) -> None:
    check_changed(target)
