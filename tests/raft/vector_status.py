"""What becomes of each of the shared Raft files; read by tests/vector_table.py.

Of the interaction files messages, states, entries, commits, roles and Ready are compared, not what
the files' own core logs. In every file the harness leaves out what our vote requests and refusals
say beyond theirs: what is committed (tests/raft/describing.py).
"""

from typing import Final

PASSED: Final = "passed"

# The files let a leader change the configuration once all entries before its term's first are
# applied.
_RELAXED: Final = (PASSED, "with our rule taken back that the term's first entry is applied too")
_REPLACED: Final = (
    PASSED,
    "as above, and where our core refuses a change the harness proposes the files' empty entry",
)

VECTOR_FILES: Final[dict[str, str | tuple[str, str]]] = {
    "etcd-raft/quorum/**": PASSED,
    "etcd-raft/confchange/**": PASSED,
    "async_storage_writes.txt": "later: writes are answered by advance, not by messages",
    "async_storage_writes_append_aba_race.txt": (
        "later: one write is under way at a time, so the race cannot arise"
    ),
    "campaign.txt": PASSED,
    "campaign_learner_must_vote.txt": PASSED,
    "checkquorum.txt": PASSED,
    "confchange_disable_validation.txt": (
        "refused: ADR-0002 changes of the configuration are always validated"
    ),
    "confchange_v1_add_single.txt": _RELAXED,
    "confchange_v1_remove_leader.txt": PASSED,
    "confchange_v1_remove_leader_stepdown.txt": PASSED,
    "confchange_v2_add_double_auto.txt": _RELAXED,
    "confchange_v2_add_double_implicit.txt": _RELAXED,
    "confchange_v2_add_single_auto.txt": _RELAXED,
    "confchange_v2_add_single_explicit.txt": _REPLACED,
    "confchange_v2_replace_leader.txt": PASSED,
    "confchange_v2_replace_leader_stepdown.txt": (
        "refused: ADR-0002 a follower's core never passes"
        " a proposal on to the leader, its caller does"
    ),
    "forget_leader.txt": PASSED,
    "forget_leader_prevote_checkquorum.txt": PASSED,
    "forget_leader_read_only_lease_based.txt": ("refused: ADR-0002 no read rests on a lease"),
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
