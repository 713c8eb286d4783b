"""When a call is repeated, and after how long."""

import pytest
from caretree.client.errors import CallFailedError
from caretree.client.retry import (
    ADVISED_PAUSE_MS_MAX,
    FIRST_PAUSE_MS,
    PAUSE_MS_MAX,
    may_repeat,
    pause_s,
)
from caretree.model.reasons import Code, Reason


def _error(
    reason: Reason | None, *, code: str = "", after_ms: int | None = None
) -> CallFailedError:
    named = code or (reason.explanation.code.name if reason else "UNKNOWN")
    return CallFailedError("failed", code=named, reason=reason, retry_after_ms=after_ms)


@pytest.mark.parametrize("reason", list(Reason), ids=lambda reason: reason.name)
def test_what_is_unavailable_unknown_contended_or_too_much_is_repeated(reason: Reason) -> None:
    repeated = {Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.ABORTED}

    assert may_repeat(_error(reason)) == (reason.explanation.code in repeated)


@pytest.mark.parametrize(
    ("code", "expected"),
    [("UNAVAILABLE", True), ("RESOURCE_EXHAUSTED", False), ("ABORTED", False), ("UNKNOWN", False)],
)
def test_without_a_reason_only_a_lost_connection_is_repeated(code: str, *, expected: bool) -> None:
    assert may_repeat(_error(None, code=code)) is expected


def test_a_pause_is_never_shorter_than_the_peer_asked_for_and_bounded() -> None:
    asked = _error(Reason.NO_QUORUM, after_ms=700)
    assert pause_s(asked, attempt=5, chance=0.0) == 0.7
    assert pause_s(asked, attempt=5, chance=1.0) == pytest.approx(1.05)

    at_the_bound = _error(Reason.NO_QUORUM, after_ms=ADVISED_PAUSE_MS_MAX)
    above = _error(Reason.NO_QUORUM, after_ms=ADVISED_PAUSE_MS_MAX + 1)
    assert pause_s(at_the_bound, attempt=0, chance=0.0) == ADVISED_PAUSE_MS_MAX / 1000
    assert pause_s(above, attempt=0, chance=0.0) == ADVISED_PAUSE_MS_MAX / 1000


def test_without_advice_pauses_double_up_to_a_bound() -> None:
    lost = _error(None, code="UNAVAILABLE")
    pauses = [pause_s(lost, attempt=number, chance=0.0) * 1000 for number in range(40)]

    assert pauses[:4] == [FIRST_PAUSE_MS * 2**number for number in range(4)]
    assert max(pauses) == pauses[-1] == PAUSE_MS_MAX
