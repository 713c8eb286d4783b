"""Which of the shared interaction files the core passes, and why the others do not."""

from typing import Final

PASSED: Final = "passed"

# "passed", "later: reason" or "refused: reason". Compared are messages, states, entries, commits, roles and
# Ready; not the lines that the files' core logs.
#
# Two of our rules are stricter than the files', and the harness takes them back (tests/raft/interaction.py):
# a configuration change waits until the first entry of the leader's term is applied, and a refused change
# raises instead of leaving an empty entry.
INTERACTION_FILES: Final[dict[str, str]] = {
    "async_storage_writes.txt": "later: writes are answered by advance, not by messages",
    "async_storage_writes_append_aba_race.txt": (
        "later: one write is under way at a time, so the race cannot arise"
    ),
    "campaign.txt": PASSED,
    "campaign_learner_must_vote.txt": PASSED,
    "checkquorum.txt": PASSED,
    "confchange_disable_validation.txt": "refused: changes are always validated when proposed",
    "confchange_v1_add_single.txt": PASSED,
    "confchange_v1_remove_leader.txt": PASSED,
    "confchange_v1_remove_leader_stepdown.txt": PASSED,
    "confchange_v2_add_double_auto.txt": PASSED,
    "confchange_v2_add_double_implicit.txt": PASSED,
    "confchange_v2_add_single_auto.txt": PASSED,
    "confchange_v2_add_single_explicit.txt": PASSED,
    "confchange_v2_replace_leader.txt": PASSED,
    "confchange_v2_replace_leader_stepdown.txt": (
        "refused: a follower's core never passes a proposal on to the leader, its caller does"
    ),
    "forget_leader.txt": PASSED,
    "forget_leader_prevote_checkquorum.txt": PASSED,
    "forget_leader_read_only_lease_based.txt": "refused: no read rests on a lease",
    "heartbeat_resp_recovers_from_probing.txt": PASSED,
    "lagging_commit.txt": PASSED,
    "prevote.txt": PASSED,
    "prevote_checkquorum.txt": PASSED,
    "probe_and_replicate.txt": PASSED,
    "replicate_pause.txt": PASSED,
    "single_node.txt": PASSED,
    "slow_follower_after_compaction.txt": PASSED,
    "snapshot_succeed_via_app_resp.txt": PASSED,
    "snapshot_succeed_via_app_resp_behind.txt": PASSED,
}
