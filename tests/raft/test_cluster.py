"""Groups under loss, delay, repetition, reordering, cuts and crashes keep promises and recover."""

import pytest

from tests.raft.cluster import Cluster

_EVENTS = 3_000
_HEALING_ROUNDS = 400


def _run(seed: int) -> Cluster:
    cluster = Cluster(seed, voters=3 + 2 * (seed % 2), spare=seed % 4 % 3)
    try:
        cluster.disturb(_EVENTS)
        assert cluster.heal(_HEALING_ROUNDS), "no agreement after healing"
    except AssertionError as error:
        error.add_note(f"seed {seed}")
        raise
    return cluster


def test_a_few_seeds_keep_every_promise_and_heal() -> None:
    clusters = [_run(seed) for seed in range(12)]

    # The runs are worth something only if they get anywhere.
    assert sum(cluster.checker.last_committed for cluster in clusters) > 12 * 10
    assert sum(cluster.checker.reads_answered for cluster in clusters) > 0
    assert sum(len(cluster.checker.leaders) for cluster in clusters) > 12 * 2


@pytest.mark.slow
def test_hundreds_of_seeds_keep_every_promise_and_heal() -> None:
    for seed in range(1_000, 1_250):
        _run(seed)
