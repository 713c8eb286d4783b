"""What the dashboard shows: rows of panels, each with its expressions.

In an expression, {@} chooses the job and the instances that the reader picked.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """An expression, and how its series are called. `@` stands for the chosen job and instance."""

    expression: str
    legend: str = "{{instance}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A graph, or with `stat` a number for each series."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    stat: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels side by side under a heading."""

    title: str
    panels: tuple[Panel, ...]


def _quantile(quantile: float, metric: str, by: str = "instance") -> str:
    rate = f"sum by ({by}, le) (rate({metric}_bucket{{@}}[$__rate_interval]))"
    return f"histogram_quantile({quantile}, {rate})"


def _rate(metric: str, by: str = "instance") -> str:
    return f"sum by ({by}) (rate({metric}{{@}}[$__rate_interval]))"


_HEALTH: Final = Row(
    title="Is all well",
    panels=(
        Panel(
            title="Can commit",
            description="1 where an entry can be committed now. Readiness says the same.",
            unit="none",
            queries=(Query(expression="caretree_node_can_commit{@}"),),
            stat=True,
        ),
        Panel(
            title="Leads",
            description="1 at the peer that leads; there is one, or for a moment none.",
            unit="none",
            queries=(Query(expression="caretree_node_is_leader{@}"),),
            stat=True,
        ),
        Panel(
            title="Age of the newest certified checkpoint",
            description="Stays below a minute even when nothing is written.",
            unit="s",
            queries=(Query(expression="time() - caretree_node_checkpoint_timestamp_seconds{@}"),),
            stat=True,
        ),
        Panel(
            title="What must stay zero",
            description="Void blocks, contradicting heads, receipts that did not verify.",
            unit="none",
            queries=(
                Query(
                    expression="increase(caretree_node_void_blocks_total{@}[$__range])",
                    legend="{{instance}} void blocks",
                ),
                Query(
                    expression="increase(caretree_node_divergence_total{@}[$__range])",
                    legend="{{instance}} contradictions",
                ),
                Query(
                    expression="increase(caretree_node_self_check_failures_total{@}[$__range])",
                    legend="{{instance}} bad receipts",
                ),
            ),
            stat=True,
        ),
    ),
)

_LEDGER: Final = Row(
    title="Ledger",
    panels=(
        Panel(
            title="Entries by kind",
            description="Entries that took effect, as this peer applied them.",
            unit="cps",
            queries=(
                Query(
                    expression=_rate("caretree_ledger_entries_applied_total", "instance, kind"),
                    legend="{{instance}} {{kind}}",
                ),
            ),
        ),
        Panel(
            title="Refused entries by outcome",
            description="Entries without effect. A repeated call is a duplicate, no fault.",
            unit="cps",
            queries=(
                Query(
                    expression=_rate("caretree_ledger_entries_refused_total", "instance, outcome"),
                    legend="{{instance}} {{outcome}}",
                ),
            ),
        ),
        Panel(
            title="Height",
            description="The newest applied block. A line below the others is a peer behind.",
            unit="none",
            queries=(Query(expression="caretree_ledger_height_blocks{@}"),),
        ),
        Panel(
            title="Time to apply a block",
            description="99 of 100 blocks are applied within this time.",
            unit="s",
            queries=(Query(expression=_quantile(0.99, "caretree_ledger_block_apply_seconds")),),
        ),
        Panel(
            title="Blocks",
            description="Blocks applied each second.",
            unit="cps",
            queries=(Query(expression=_rate("caretree_ledger_blocks_applied_total")),),
        ),
    ),
)

_CERTIFICATION: Final = Row(
    title="Certification",
    panels=(
        Panel(
            title="Leaves not yet certified",
            description="Leaves applied here beyond the newest certified checkpoint.",
            unit="none",
            queries=(
                Query(
                    expression="caretree_ledger_tree_size_leaves{@}"
                    " - caretree_node_certified_tree_size_leaves{@}"
                ),
            ),
        ),
        Panel(
            title="Signatures held against quorum",
            description="Members that signed the newest signed size, and how many are needed.",
            unit="none",
            queries=(
                Query(expression="caretree_node_cosignatures_held{@}", legend="{{instance}} held"),
                Query(
                    expression="caretree_node_cosignatures_quorum{@}",
                    legend="{{instance}} quorum",
                ),
            ),
        ),
    ),
)

_CONSENSUS: Final = Row(
    title="Consensus",
    panels=(
        Panel(
            title="Leader changes",
            description="New leaders in each interval. Now and then one is normal.",
            unit="none",
            queries=(
                Query(
                    expression="increase(caretree_node_leader_changes_total{@}[$__rate_interval])"
                ),
            ),
        ),
        Panel(
            title="Peers heard",
            description="How many other peers each peer hears.",
            unit="none",
            queries=(Query(expression="sum by (instance) (caretree_node_peer_reachable{@})"),),
        ),
        Panel(
            title="Time to commit a block",
            description="At the leader, from proposal to majority: the median, and 99 of 100.",
            unit="s",
            queries=(
                Query(
                    expression=_quantile(0.5, "caretree_node_block_commit_seconds"),
                    legend="{{instance}} p50",
                ),
                Query(
                    expression=_quantile(0.99, "caretree_node_block_commit_seconds"),
                    legend="{{instance}} p99",
                ),
            ),
        ),
        Panel(
            title="Proposals, dropped ones, appends not held",
            description="Blocks proposed and given up; appends in which something did not fit.",
            unit="cps",
            queries=(
                Query(
                    expression=_rate("caretree_node_proposals_total"),
                    legend="{{instance}} proposed",
                ),
                Query(
                    expression=_rate("caretree_node_proposals_dropped_total"),
                    legend="{{instance}} dropped",
                ),
                Query(
                    expression=_rate("caretree_node_not_held_messages_total"),
                    legend="{{instance}} not held",
                ),
            ),
        ),
    ),
)

_CALLS: Final = Row(
    title="Calls",
    panels=(
        Panel(
            title="Calls by method",
            description="Calls ended each second.",
            unit="reqps",
            queries=(
                Query(
                    expression=_rate("grpc_server_handled_total", "grpc_method"),
                    legend="{{grpc_method}}",
                ),
            ),
        ),
        Panel(
            title="Calls by code",
            description="Calls that did not end with OK, each second.",
            unit="reqps",
            queries=(
                Query(
                    expression="sum by (grpc_method, grpc_code) (rate("
                    'grpc_server_handled_total{@, grpc_code!="OK"}[$__rate_interval]))',
                    legend="{{grpc_method}} {{grpc_code}}",
                ),
            ),
        ),
        Panel(
            title="Calls under way",
            description="Begun and not yet ended; streams count until they end.",
            unit="none",
            queries=(
                Query(
                    expression="sum by (instance) (grpc_server_started_total{@})"
                    " - sum by (instance) (grpc_server_handled_total{@})"
                ),
            ),
        ),
        Panel(
            title="Time of a call",
            description="99 of 100 calls of one answer end within this time.",
            unit="s",
            queries=(
                Query(
                    expression="histogram_quantile(0.99, sum by (grpc_method, le) (rate("
                    'grpc_server_handling_seconds_bucket{@, grpc_type="unary"}'
                    "[$__rate_interval])))",
                    legend="{{grpc_method}}",
                ),
            ),
        ),
    ),
)

_PROCESS: Final = Row(
    title="Daemon and disk",
    panels=(
        Panel(
            title="Waiting entries",
            description="Entries that wait for a block, and those a full pool turned away.",
            unit="none",
            queries=(
                Query(expression="caretree_node_pool_entries{@}", legend="{{instance}} waiting"),
                Query(
                    expression="increase(caretree_node_pool_full_total{@}[$__rate_interval])",
                    legend="{{instance}} turned away",
                ),
            ),
        ),
        Panel(
            title="Waiting bytes",
            description="What the pool holds; it takes 64 MiB.",
            unit="bytes",
            queries=(Query(expression="caretree_node_pool_bytes{@}"),),
        ),
        Panel(
            title="Durable writes",
            description="99 of 100 durable writes of the log and the watermark end in this time.",
            unit="s",
            queries=(
                Query(
                    expression=_quantile(
                        0.99, "caretree_storage_fsync_seconds", "instance, target"
                    ),
                    legend="{{instance}} {{target}}",
                ),
            ),
        ),
        Panel(
            title="Event loop lag",
            description="99 of 100 timers run at most this much late; 50 ms is an alarm.",
            unit="s",
            queries=(Query(expression=_quantile(0.99, "caretree_node_loop_lag_seconds")),),
        ),
        Panel(
            title="Data directory",
            description="What the ledger takes on the disk.",
            unit="bytes",
            queries=(Query(expression="caretree_storage_directory_bytes{@}"),),
        ),
        Panel(
            title="Free space",
            description="Share of the disk that is free. A full disk stops the peer.",
            unit="percentunit",
            queries=(
                Query(
                    expression="caretree_storage_free_bytes{@} / caretree_storage_capacity_bytes{@}"
                ),
            ),
        ),
        Panel(
            title="Memory",
            description="Resident memory of the daemon.",
            unit="bytes",
            queries=(Query(expression="process_resident_memory_bytes{@}"),),
        ),
        Panel(
            title="Processor",
            description="Processor seconds each second; 1 is a whole core.",
            unit="none",
            queries=(Query(expression=_rate("process_cpu_seconds_total")),),
        ),
        Panel(
            title="Batches signed, log lines given up",
            description="Batches sent to the leader; log lines that nobody read in time.",
            unit="cps",
            queries=(
                Query(
                    expression=_rate("caretree_node_batches_total"), legend="{{instance}} batches"
                ),
                Query(
                    expression=_rate("caretree_telemetry_log_lines_dropped_total"),
                    legend="{{instance}} lines",
                ),
            ),
        ),
        Panel(
            title="Certificates refused",
            description="Calls and messages refused for their certificate, by port and reason.",
            unit="cps",
            queries=(
                Query(
                    expression=_rate(
                        "caretree_node_certificates_refused_total", "instance, port, reason"
                    ),
                    legend="{{instance}} {{port}} {{reason}}",
                ),
            ),
        ),
        Panel(
            title="Clock",
            description="How far each clock is ahead of the voters' median; 30 s is an alarm.",
            unit="s",
            queries=(Query(expression="caretree_node_clock_ahead_seconds{@}"),),
        ),
        Panel(
            title="Certificate",
            description="How long the peer's certificate is still good.",
            unit="s",
            queries=(
                Query(expression="caretree_node_certificate_expiry_timestamp_seconds{@} - time()"),
            ),
            stat=True,
        ),
    ),
)

ROWS: Final = (_HEALTH, _LEDGER, _CERTIFICATION, _CONSENSUS, _CALLS, _PROCESS)
