import re
import subprocess

import pytest
from caretree.ledger.values import EntryKind, Outcome
from caretree.model.ids import Height, MemberId, PeerId, TreeSize
from caretree.model.reasons import Reason
from caretree.telemetry.metrics import FsyncTarget, Metrics, Port, ReloadedFile
from prometheus_client import CollectorRegistry

from tests.shared import require_tool

_NAME = re.compile(
    r"caretree_(node|ledger|storage|telemetry)_[a-z_]+|grpc_server_[a-z_]+|process_[a-z_]+"
)


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics(CollectorRegistry())
    metrics.describe_build(version="0.1.0", ledger_version=1)
    metrics.peer_reachable(PeerId(0xAA), MemberId("town"), reachable=True)
    metrics.grpc_started("unary", "caretree.api.v1.RecordService", "Append")
    metrics.grpc_handled("unary", "caretree.api.v1.RecordService", "Append", "OK", 0.02)
    return metrics


def test_names_follow_the_one_pattern(metrics: Metrics) -> None:
    families = list(metrics.registry.collect())

    assert [family.name for family in families if not _NAME.fullmatch(family.name)] == []
    assert all(family.documentation.endswith(".") for family in families)


def test_promtool_has_nothing_to_say_about_the_exposition(metrics: Metrics) -> None:
    command = [require_tool("promtool"), "check", "metrics"]

    done = subprocess.run(command, input=metrics.exposition(), capture_output=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_no_series_tells_when_it_was_created(metrics: Metrics) -> None:
    assert b"_created" not in metrics.exposition()


def test_a_counter_that_must_stay_zero_says_so_and_is_there_from_the_start(
    metrics: Metrics,
) -> None:
    text = metrics.exposition().decode()

    for name in ("void_blocks", "divergence", "self_check_failures"):
        assert f"\ncaretree_node_{name}_total 0.0\n" in text
        assert re.search(rf"# HELP caretree_node_{name}_total .* Must stay zero\.\n", text)


def test_two_daemons_in_one_process_count_apart() -> None:
    first, second = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())

    first.batch_signed()

    assert _value(first, "caretree_node_batches_total") == 1
    assert _value(second, "caretree_node_batches_total") == 0


def test_every_kind_and_outcome_has_a_series_from_the_start() -> None:
    registry = Metrics(CollectorRegistry()).registry
    samples = [sample for family in registry.collect() for sample in family.samples]

    kinds = {sample.labels.get("kind") for sample in samples} - {None}
    outcomes = {sample.labels.get("outcome") for sample in samples} - {None}

    assert kinds == {kind.name.lower() for kind in EntryKind}
    assert outcomes == {outcome.name.lower() for outcome in Outcome} - {"applied"}


def test_an_applied_block_counts_its_entries(metrics: Metrics) -> None:
    metrics.block_applied(
        height=Height(9),
        tree_size=TreeSize(40),
        applied=[EntryKind.RECORD, EntryKind.RECORD, EntryKind.READING],
        refused=[Outcome.DUPLICATE],
        seconds=0.004,
    )

    assert _value(metrics, "caretree_ledger_height_blocks") == 9
    assert _value(metrics, "caretree_ledger_tree_size_leaves") == 40
    assert _value(metrics, "caretree_ledger_blocks_applied_total") == 1
    assert _value(metrics, "caretree_ledger_entries_applied_total", kind="record") == 2
    assert _value(metrics, "caretree_ledger_entries_applied_total", kind="reading") == 1
    assert _value(metrics, "caretree_ledger_entries_refused_total", outcome="duplicate") == 1
    assert _value(metrics, "caretree_ledger_block_apply_seconds_count") == 1


def test_leadership_is_told_and_changes_are_counted(metrics: Metrics) -> None:
    metrics.leadership_changed(is_leader=True, has_leader=True, new_leader=True)
    metrics.leadership_changed(is_leader=False, has_leader=False, new_leader=False)
    metrics.leadership_changed(is_leader=False, has_leader=True, new_leader=True)
    metrics.can_commit_changed(can_commit=True)

    assert _value(metrics, "caretree_node_is_leader") == 0
    assert _value(metrics, "caretree_node_has_leader") == 1
    assert _value(metrics, "caretree_node_leader_changes_total") == 2
    assert _value(metrics, "caretree_node_can_commit") == 1


def test_consensus_events_are_counted(metrics: Metrics) -> None:
    metrics.block_proposed()
    metrics.proposal_dropped()
    metrics.block_committed(seconds=0.01)
    metrics.not_held()
    metrics.block_void()
    metrics.peer_reachable(PeerId(0xAA), MemberId("town"), reachable=False)

    assert _value(metrics, "caretree_node_proposals_total") == 1
    assert _value(metrics, "caretree_node_proposals_dropped_total") == 1
    assert _value(metrics, "caretree_node_block_commit_seconds_count") == 1
    assert _value(metrics, "caretree_node_not_held_messages_total") == 1
    assert _value(metrics, "caretree_node_void_blocks_total") == 1
    peer = {"peer": "00000000000000aa", "member": "town"}
    assert _value(metrics, "caretree_node_peer_reachable", **peer) == 0


def test_certification_is_told(metrics: Metrics) -> None:
    metrics.certified(tree_size=TreeSize(7), timestamp_s=1.7e9)
    metrics.cosignatures(held=2, quorum=3)
    metrics.diverged()
    metrics.self_check_failed()

    assert _value(metrics, "caretree_node_certified_tree_size_leaves") == 7
    assert _value(metrics, "caretree_node_checkpoint_timestamp_seconds") == 1.7e9
    assert _value(metrics, "caretree_node_cosignatures_held") == 2
    assert _value(metrics, "caretree_node_cosignatures_quorum") == 3
    assert _value(metrics, "caretree_node_divergence_total") == 1
    assert _value(metrics, "caretree_node_self_check_failures_total") == 1


def test_the_process_is_measured(metrics: Metrics) -> None:
    metrics.pool_changed(entries=3, size_bytes=300)
    metrics.pool_full(entries=2)
    metrics.batch_signed()
    metrics.loop_lagged(seconds=0.02)
    metrics.certificate_expires(timestamp_s=1.8e9)
    metrics.fsynced(FsyncTarget.WATERMARK, seconds=0.001)
    metrics.storage_measured(directory_bytes=1, free_bytes=2, capacity_bytes=3)
    metrics.log_lines_dropped(5)

    assert _value(metrics, "caretree_node_pool_entries") == 3
    assert _value(metrics, "caretree_node_pool_bytes") == 300
    assert _value(metrics, "caretree_node_pool_full_total") == 2
    assert _value(metrics, "caretree_node_batches_total") == 1
    assert _value(metrics, "caretree_node_loop_lag_seconds_count") == 1
    assert _value(metrics, "caretree_node_certificate_expiry_timestamp_seconds") == 1.8e9
    assert _value(metrics, "caretree_storage_fsync_seconds_count", target="watermark") == 1
    assert _value(metrics, "caretree_storage_directory_bytes") == 1
    assert _value(metrics, "caretree_storage_free_bytes") == 2
    assert _value(metrics, "caretree_storage_capacity_bytes") == 3
    assert _value(metrics, "caretree_telemetry_log_lines_dropped_total") == 5


def test_refused_certificates_are_counted_by_port_and_reason_from_zero_on(metrics: Metrics) -> None:
    name = "caretree_node_certificates_refused_total"
    assert _value(metrics, name, port="peer", reason="NOT_A_PEER") == 0

    metrics.certificate_refused(Port.PEER, Reason.CERTIFICATE_DENIED)

    assert _value(metrics, name, port="peer", reason="CERTIFICATE_DENIED") == 1
    assert _value(metrics, name, port="client", reason="CERTIFICATE_DENIED") == 0


def test_what_is_read_again_and_the_clock_are_told(metrics: Metrics) -> None:
    reloads = "caretree_node_reloads_failed_total"
    assert _value(metrics, reloads, file="certificate") == 0
    ahead_s = -3600.0

    metrics.deny_list_read(certificates=3)
    metrics.reload_failed(ReloadedFile.DENY_LIST)
    metrics.clock_compared(lambda: ahead_s)
    metrics.block_ahead_of_clock()

    assert _value(metrics, "caretree_node_deny_list_certificates") == 3
    assert _value(metrics, reloads, file="deny_list") == 1
    assert _value(metrics, reloads, file="certificate") == 0
    assert _value(metrics, "caretree_node_clock_ahead_seconds") == -3600
    ahead_s = 0.5
    assert _value(metrics, "caretree_node_clock_ahead_seconds") == 0.5
    assert _value(metrics, "caretree_node_blocks_ahead_of_clock_total") == 1


def test_a_call_is_counted_by_its_code(metrics: Metrics) -> None:
    call = {
        "grpc_type": "unary",
        "grpc_service": "caretree.api.v1.RecordService",
        "grpc_method": "Append",
    }

    assert _value(metrics, "grpc_server_started_total", **call) == 1
    assert _value(metrics, "grpc_server_handled_total", grpc_code="OK", **call) == 1
    assert _value(metrics, "grpc_server_handling_seconds_sum", **call) == 0.02
    assert _value(metrics, "caretree_node_build_info", version="0.1.0", ledger_version="1") == 1


def _value(metrics: Metrics, name: str, **labels: str) -> float:
    value = metrics.registry.get_sample_value(name, labels)
    assert value is not None, f"no series {name}{labels}"
    return value
