"""The cluster checker's own exam: known mistakes, planted one at a time, are found.

Mistakes that take a long story to show (Raft figure 8, a quorum over a union of configurations, an
acknowledgement beyond the message) are held by a claim each in test_paper_log.py and test_quorum.py
instead.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
from caretree.model.ids import Term
from caretree.raft import reads
from caretree.raft.core import Raft
from caretree.raft.log import RaftLog
from caretree.raft.messages import NO_PEER
from caretree.raft.rawnode import RawNode
from caretree.raft.ready import Ready

from tests.raft.cluster import Cluster

_SEEDS_MAX = 300
_EVENTS = 3_000

Patch = pytest.MonkeyPatch


def _vote_is_forgotten_in_the_same_term(patch: Patch) -> None:
    reset = Raft.reset

    def forgetful(raft: Raft, term: Term) -> None:
        reset(raft, term)
        raft.vote = NO_PEER

    patch.setattr(Raft, "reset", forgetful)


def _a_vote_is_given_to_any_log(patch: Patch) -> None:
    patch.setattr(RaftLog, "is_up_to_date", lambda _log, _index, _term: True)


def _reads_do_not_wait_for_the_own_term(patch: Patch) -> None:
    patch.setattr(reads, "_own_term_committed", lambda _raft: True)


def _reads_are_not_confirmed(patch: Patch) -> None:
    patch.setattr(reads, "_needs_no_other", lambda _raft: True)


def _answers_leave_before_the_write(patch: Patch) -> None:
    ready = RawNode.ready

    def hasty(node: RawNode) -> Ready:
        careful = ready(node)
        return replace(careful, messages_now=careful.messages, messages_after_persist=())

    patch.setattr(RawNode, "ready", hasty)


@pytest.mark.slow
@pytest.mark.parametrize(
    "plant",
    [
        _vote_is_forgotten_in_the_same_term,
        _a_vote_is_given_to_any_log,
        _reads_do_not_wait_for_the_own_term,
        _reads_are_not_confirmed,
        _answers_leave_before_the_write,
    ],
)
def test_a_planted_bug_is_found(plant: Callable[[Patch], None], monkeypatch: Patch) -> None:
    plant(monkeypatch)

    assert any(_breaks_a_promise(seed) for seed in range(_SEEDS_MAX))


def _breaks_a_promise(seed: int) -> bool:
    cluster = Cluster(seed, voters=3 + 2 * (seed % 2), spare=seed % 4 % 3)
    try:
        cluster.disturb(_EVENTS)
    except Exception:  # noqa: BLE001 - a planted bug may show in any way
        return True
    return False
