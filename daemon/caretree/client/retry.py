"""Which calls may be repeated, and after how long: the peer's advice, with jitter.

A repeated call carries the same request id, so it takes effect at most once. A repeated reading
reads once more, and its trail says so.
"""

from typing import Final

from caretree.client.errors import CallFailedError
from caretree.model.reasons import Reason

FIRST_PAUSE_MS: Final = 100
PAUSE_MS_MAX: Final = 2_000
# However long a peer would have us wait, we ask again by then.
ADVISED_PAUSE_MS_MAX: Final = 30_000
_DOUBLINGS_MAX: Final = 16

_REPEATED: Final = frozenset((Reason.OUTCOME_UNKNOWN, Reason.CONTENDED, Reason.OVERLOADED))


def may_repeat(error: CallFailedError) -> bool:
    """Whether the same call may succeed later."""
    # Of a stream that breaks while it is written to, grpcio itself says INTERNAL; what a peer
    # refuses bears a reason.
    broken = error.reason is None and error.code == "INTERNAL"
    return broken or error.code == "UNAVAILABLE" or error.reason in _REPEATED


def pause_s(error: CallFailedError, *, attempt: int, chance: float) -> float:
    """How long to wait after attempt `attempt`, from 0; `chance` is from 0 to 1.

    Never shorter than the peer asked for; half as long again at most, so that clients that failed
    together do not come back together.
    """
    if error.retry_after_ms is not None:
        base_ms = min(error.retry_after_ms, ADVISED_PAUSE_MS_MAX)
    else:
        base_ms = min(FIRST_PAUSE_MS << min(attempt, _DOUBLINGS_MAX), PAUSE_MS_MAX)
    return base_ms * (1 + chance / 2) / 1000
