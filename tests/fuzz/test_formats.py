"""The contract of every target in: merkle, founding."""

import pytest

from tests.fuzz.running import check_changed, check_kept, targets_of
from tests.fuzz.target import Target
from tests.fuzz.targets import founding, merkle

TARGETS = targets_of(merkle, founding)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_kept_input_is_handled(target: Target) -> None:
    check_kept(target)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_changed_input_is_handled(target: Target) -> None:
    check_changed(target)
