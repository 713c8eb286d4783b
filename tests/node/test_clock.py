"""The voters' clocks: whoever sets the block time, one wrong clock does not."""

import pytest
from caretree.node.clock import SystemClock, VoterClocks

from tests.node.bench import FixedClock

NOW = 1_800_000_000_000
HOUR_MS = 3_600_000


def test_the_system_clock_counts_milliseconds_since_1970() -> None:
    first = SystemClock().now_ms()
    assert first > 1_700_000_000_000
    assert SystemClock().now_ms() >= first


def test_alone_the_own_clock_counts() -> None:
    clocks = VoterClocks(FixedClock(NOW))
    assert clocks.median_ms((1, 2, 3), own=1) == NOW


@pytest.mark.parametrize(
    ("heard", "median"),
    [
        ({2: HOUR_MS, 3: 0}, 0),
        ({2: -HOUR_MS, 3: 0}, 0),
        ({2: HOUR_MS, 3: -HOUR_MS}, 0),
        ({2: HOUR_MS, 3: HOUR_MS}, HOUR_MS),
        ({2: -HOUR_MS, 3: -HOUR_MS}, -HOUR_MS),
        ({2: 40, 3: 70}, 40),
    ],
)
def test_of_three_clocks_the_middle_one_counts(heard: dict[int, int], median: int) -> None:
    clocks = VoterClocks(FixedClock(NOW))
    for peer, ahead in heard.items():
        clocks.heard(peer, NOW + ahead)
    assert clocks.median_ms((1, 2, 3), own=1) == NOW + median


def test_of_two_clocks_the_earlier_one_counts() -> None:
    clocks = VoterClocks(FixedClock(NOW))
    clocks.heard(2, NOW + HOUR_MS)
    assert clocks.median_ms((1, 2, 3), own=1) == NOW
    clocks.heard(2, NOW - 5)
    assert clocks.median_ms((1, 2, 3), own=1) == NOW - 5


def test_who_is_no_voter_is_not_asked() -> None:
    clocks = VoterClocks(FixedClock(NOW))
    for stranger in (7, 8, 9):
        clocks.heard(stranger, NOW + HOUR_MS)
    assert clocks.median_ms((1, 2, 3), own=1) == NOW


def test_differences_go_on_with_the_own_clock() -> None:
    clock = FixedClock(NOW)
    clocks = VoterClocks(clock)
    clocks.heard(2, NOW + 10)
    clocks.heard(3, NOW + 20)
    clock.ms += HOUR_MS
    assert clocks.median_ms((1, 2, 3), own=1) == NOW + HOUR_MS + 10
