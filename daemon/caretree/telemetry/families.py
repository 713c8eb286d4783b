"""Every metric family of a daemon, declared once around an injected registry.

Names are caretree_<room>_<what>_<unit>, and for calls the grpc_server_* names that others'
dashboards expect. Labels have few values: never a patient, record, principal or address.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

# An fsync takes tenths of a millisecond on a good disk; half a second is an alarm.
_DISK_SECONDS: Final = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.5, 1, 4)
_BLOCK_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_CALL_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LAG_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_GRPC: Final = ("grpc_type", "grpc_service", "grpc_method")
_MUST_STAY_ZERO: Final = " Must stay zero."


class ConsensusFamilies:
    """Raft, blocks on their way, and the other peers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.is_leader = Gauge(
            "caretree_node_is_leader", "1 while this peer leads.", registry=registry
        )
        self.has_leader = Gauge(
            "caretree_node_has_leader", "1 while this peer knows a leader.", registry=registry
        )
        self.can_commit = Gauge(
            "caretree_node_can_commit",
            "1 while this peer is ready and a majority can be reached.",
            registry=registry,
        )
        self.leader_changes = Counter(
            "caretree_node_leader_changes", "Leaders that this peer saw come.", registry=registry
        )
        self.proposals = Counter(
            "caretree_node_proposals", "Blocks proposed to Raft by this peer.", registry=registry
        )
        self.proposals_dropped = Counter(
            "caretree_node_proposals_dropped",
            "Blocks that Raft did not take, or that a lost leadership left undecided.",
            registry=registry,
        )
        self.block_commit = Histogram(
            "caretree_node_block_commit_seconds",
            "From a block's proposal until this leader knew it committed.",
            buckets=_BLOCK_SECONDS,
            registry=registry,
        )
        self.not_held = Counter(
            "caretree_node_not_held_messages",
            "Messages of peers that were dropped because something in them did not fit.",
            registry=registry,
        )
        self.peer_reachable = Gauge(
            "caretree_node_peer_reachable",
            "1 while that other peer is heard.",
            ("peer", "member"),
            registry=registry,
        )
        self.clock_ahead = Gauge(
            "caretree_node_clock_ahead_seconds",
            "How far this peer's clock is ahead of the voters' median, as last heard.",
            registry=registry,
        )
        self.blocks_ahead = Counter(
            "caretree_node_blocks_ahead_of_clock",
            "Blocks not acknowledged because their time was too far ahead of this peer's clock.",
            registry=registry,
        )
        self.void_blocks = Counter(
            "caretree_node_void_blocks",
            "Committed blocks without effect, made by a faulty leader." + _MUST_STAY_ZERO,
            registry=registry,
        )


class LedgerFamilies:
    """What apply made of the blocks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.height = Gauge(
            "caretree_ledger_height_blocks",
            "Height of the newest applied block.",
            registry=registry,
        )
        self.tree_size = Gauge(
            "caretree_ledger_tree_size_leaves", "Leaves in the tree as applied.", registry=registry
        )
        self.blocks = Counter(
            "caretree_ledger_blocks_applied", "Blocks applied since the start.", registry=registry
        )
        self.entries = Counter(
            "caretree_ledger_entries_applied",
            "Entries that took effect since the start, by kind.",
            ("kind",),
            registry=registry,
        )
        self.refused = Counter(
            "caretree_ledger_entries_refused",
            "Entries without effect since the start, by outcome.",
            ("outcome",),
            registry=registry,
        )
        self.block_apply = Histogram(
            "caretree_ledger_block_apply_seconds",
            "Applying one block, its one batch of rows included.",
            buckets=_BLOCK_SECONDS,
            registry=registry,
        )


class CertificationFamilies:
    """Checkpoints, signatures, and the two checks of a peer on itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.tree_size = Gauge(
            "caretree_node_certified_tree_size_leaves",
            "Leaves that the newest certified checkpoint covers.",
            registry=registry,
        )
        self.timestamp = Gauge(
            "caretree_node_checkpoint_timestamp_seconds",
            "When the newest certified checkpoint was signed, POSIX time.",
            registry=registry,
        )
        self.held = Gauge(
            "caretree_node_cosignatures_held",
            "Members whose signature over the newest signed size is held.",
            registry=registry,
        )
        self.quorum = Gauge(
            "caretree_node_cosignatures_quorum",
            "Members whose signatures certify a size.",
            registry=registry,
        )
        self.divergence = Counter(
            "caretree_node_divergence",
            "Signed heads that contradict this peer's tree." + _MUST_STAY_ZERO,
            registry=registry,
        )
        self.self_check_failures = Counter(
            "caretree_node_self_check_failures",
            "Receipts that this peer's own verifier refused." + _MUST_STAY_ZERO,
            registry=registry,
        )


class ProcessFamilies:
    """The daemon's queue, disk, loop, certificate and log."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.build = Info("caretree_node_build", "What is running.", registry=registry)
        self.pool_entries = Gauge(
            "caretree_node_pool_entries", "Entries that wait for a block.", registry=registry
        )
        self.pool_bytes = Gauge(
            "caretree_node_pool_bytes", "Bytes that wait for a block.", registry=registry
        )
        self.pool_full = Counter(
            "caretree_node_pool_full", "Entries turned away by a full pool.", registry=registry
        )
        self.batches = Counter(
            "caretree_node_batches", "Batches signed by this peer.", registry=registry
        )
        self.loop_lag = Histogram(
            "caretree_node_loop_lag_seconds",
            "How late the event loop ran a timer.",
            buckets=_LAG_SECONDS,
            registry=registry,
        )
        self.certificate_expiry = Gauge(
            "caretree_node_certificate_expiry_timestamp_seconds",
            "When this peer's certificate ends, POSIX time.",
            registry=registry,
        )
        self.fsync = Histogram(
            "caretree_storage_fsync_seconds",
            "A durable write, by what was written.",
            ("target",),
            buckets=_DISK_SECONDS,
            registry=registry,
        )
        self.directory_bytes = Gauge(
            "caretree_storage_directory_bytes", "Size of the data directory.", registry=registry
        )
        self.free_bytes = Gauge(
            "caretree_storage_free_bytes",
            "Room left on the data directory's disk.",
            registry=registry,
        )
        self.capacity_bytes = Gauge(
            "caretree_storage_capacity_bytes",
            "Size of the data directory's disk.",
            registry=registry,
        )
        self.log_lines_dropped = Counter(
            "caretree_telemetry_log_lines_dropped",
            "Log lines given up because nobody read them fast enough.",
            registry=registry,
        )


class CertificateFamilies:
    """Who was not let in, and the files that say so."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.refused = Counter(
            "caretree_node_certificates_refused",
            "Calls and messages refused for the certificate they came under, by port and reason."
            " What TLS itself refuses is not seen here.",
            ("port", "reason"),
            registry=registry,
        )
        self.deny_list = Gauge(
            "caretree_node_deny_list_certificates",
            "Certificates that the deny list in force names.",
            registry=registry,
        )
        self.reloads_failed = Counter(
            "caretree_node_reloads_failed",
            "Changed files that could not be taken into use; what was in force before still is.",
            ("file",),
            registry=registry,
        )


class CallFamilies:
    """The calls of the client port."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.started = Counter("grpc_server_started", "Calls begun.", _GRPC, registry=registry)
        self.handled = Counter(
            "grpc_server_handled", "Calls ended, by code.", (*_GRPC, "grpc_code"), registry=registry
        )
        self.seconds = Histogram(
            "grpc_server_handling_seconds",
            "From a call's beginning to its end.",
            _GRPC,
            buckets=_CALL_SECONDS,
            registry=registry,
        )
