"""Configuration changes: the shared vectors exactly, and what may never come out of a change."""

import random
from collections.abc import Mapping

import pytest
from caretree.model.ids import LogIndex, PeerId
from caretree.raft import confchange
from caretree.raft.errors import ConfChangeError, ConfChangeReason, ConfStateError
from caretree.raft.messages import ChangeKind, ConfChange, ConfState, PeerChange, Transition
from caretree.raft.quorum import JointConfig
from caretree.raft.ready import progress_status
from caretree.raft.tracker import ChangedConfig, ProgressTracker, TrackerConfig

from tests.raft.datadriven import Case, parse_cases
from tests.raft.describing import describe_config, describe_progress, parse_changes
from tests.shared import shared_path

_FILES = (
    "joint_autoleave.txt",
    "joint_idempotency.txt",
    "joint_learners_next.txt",
    "joint_safety.txt",
    "simple_idempotency.txt",
    "simple_promote_demote.txt",
    "simple_safety.txt",
    "update.txt",
    "zero.txt",
)
# How the files say what our reasons mean.
_SAID: Mapping[ConfChangeReason, str] = {
    ConfChangeReason.ALREADY_JOINT: "config is already joint",
    ConfChangeReason.NOT_JOINT: "can't leave a non-joint config",
    ConfChangeReason.NO_VOTERS_TO_JOIN: "can't make a zero-voter config joint",
    ConfChangeReason.NO_VOTERS_LEFT: "removed all voters",
    ConfChangeReason.SIMPLE_WHILE_JOINT: "can't apply simple config change in joint config",
    ConfChangeReason.TOO_MANY_VOTERS_CHANGED: (
        "more than one voter changed without entering joint config"
    ),
}


def _tracker() -> ProgressTracker:
    return ProgressTracker(inflight_messages_max=10, inflight_bytes_max=1)


def _change(config: TrackerConfig, case: Case) -> ChangedConfig:
    changes = parse_changes(case.text)
    if case.command == "simple":
        return confchange.simple(config, changes)
    if case.command == "enter-joint":
        return confchange.enter_joint(config, changes, auto_leave=case.flag("autoleave"))
    assert case.command == "leave-joint"
    assert not changes
    return confchange.leave_joint(config)


def _run(tracker: ProgressTracker, case: Case, last_index: LogIndex) -> str:
    try:
        changed = _change(tracker.config, case)
    except ConfChangeError as error:
        return _SAID[error.reason]
    tracker.switch(changed, last_index=last_index)
    statuses = {
        peer: progress_status(progress, is_learner=peer in tracker.config.learners)
        for peer, progress in tracker.progress.items()
    }
    return "\n".join([describe_config(tracker.config), *describe_progress(statuses)])


@pytest.mark.vectors
@pytest.mark.parametrize("name", _FILES)
def test_a_shared_confchange_file_prints_what_it_says(name: str) -> None:
    cases = parse_cases((shared_path("vectors/etcd-raft/confchange/testdata") / name).read_text())
    tracker = _tracker()

    assert cases
    for place, case in enumerate(cases):
        found = _run(tracker, case, LogIndex(place))
        assert found == case.expected, f"{name} line {case.line}"


def test_random_changes_keep_voters_and_learners_apart_and_survive_storing() -> None:
    seed = 7
    chance = random.Random(seed)
    config = confchange.simple(TrackerConfig(), parse_changes("v1")).config
    for run in range(3_000):
        change = ConfChange(
            transition=chance.choice(list(Transition)),
            changes=tuple(
                PeerChange(kind=chance.choice(list(ChangeKind)), peer=PeerId(chance.randint(0, 6)))
                for _ in range(chance.randint(0, 4))
            ),
        )
        try:
            changed = confchange.apply_change(config, change).config
        except ConfChangeError:
            continue
        hint = f"seed {seed} run {run}"
        assert changed.voters.incoming, hint
        assert not changed.learners & changed.voters.peers, hint
        assert changed.learners_next <= changed.voters.outgoing, hint
        assert confchange.restore(changed.conf_state()).config == changed, hint
        assert _quorums_overlap(config.voters, changed.voters), hint
        config = changed


def _quorums_overlap(before: JointConfig, after: JointConfig) -> bool:
    # Whoever decides before and whoever decides after share a peer: one half is kept, or differs by
    # one.
    halves = [half for half in (before.incoming, before.outgoing) if half]
    return any(
        len(old ^ new) <= 1 for old in halves for new in (after.incoming, after.outgoing) if new
    )


@pytest.mark.parametrize(
    "state",
    [
        ConfState(voters=(PeerId(1),), learners=(PeerId(1),)),
        ConfState(voters=(PeerId(1),), voters_outgoing=(PeerId(2),), learners=(PeerId(2),)),
        ConfState(voters=(PeerId(1),), learners_next=(PeerId(2),)),
        ConfState(voters_outgoing=(PeerId(2),)),
        ConfState(voters=(PeerId(1),), auto_leave=True),
        ConfState(voters=(PeerId(0),)),
    ],
)
def test_a_configuration_that_contradicts_itself_is_refused(state: ConfState) -> None:
    with pytest.raises(ConfStateError):
        confchange.restore(state)


def test_who_is_removed_and_added_again_starts_anew() -> None:
    config = confchange.restore(ConfState(voters=(PeerId(1), PeerId(2)))).config

    changed = confchange.simple(config, parse_changes("r2 v2"))

    assert changed.config == config
    assert changed.fresh == {PeerId(2)}
