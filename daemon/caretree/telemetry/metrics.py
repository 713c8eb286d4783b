"""What a daemon counts and measures: one Metrics per daemon, around its own registry.

The rooms above call a method where something happened; none of them knows a metric's name.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from enum import Enum

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from caretree.ledger.values import EntryKind, Outcome
from caretree.model.ids import Height, MemberId, PeerId, TreeSize, show_peer_id
from caretree.model.reasons import Reason
from caretree.telemetry.families import (
    CallFamilies,
    CertificateFamilies,
    CertificationFamilies,
    ConsensusFamilies,
    LedgerFamilies,
    ProcessFamilies,
)

EXPOSITION_CONTENT_TYPE = CONTENT_TYPE_LATEST


class FsyncTarget(Enum):
    """What a durable write wrote."""

    LOG = "log"
    WATERMARK = "watermark"


class Port(Enum):
    """Where certificates are shown."""

    CLIENT = "client"
    PEER = "peer"


class ReloadedFile(Enum):
    """What is read again when it changes."""

    CERTIFICATE = "certificate"
    DENY_LIST = "deny_list"


# For which a certificate is refused.
_CERTIFICATE_REASONS = (
    Reason.NO_CERTIFICATE,
    Reason.CERTIFICATE_EXPIRED,
    Reason.CERTIFICATE_DENIED,
    Reason.WRONG_PORT,
    Reason.NOT_A_PEER,
    Reason.WRONG_MEMBER,
    Reason.UNKNOWN_PRINCIPAL,
)


class Metrics:
    """A daemon's metrics. Its methods may be called from any thread."""

    __slots__ = (
        "_calls",
        "_certificates",
        "_certification",
        "_consensus",
        "_ledger",
        "_process",
        "registry",
    )

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._consensus = ConsensusFamilies(registry)
        self._ledger = LedgerFamilies(registry)
        self._certification = CertificationFamilies(registry)
        self._process = ProcessFamilies(registry)
        self._certificates = CertificateFamilies(registry)
        self._calls = CallFamilies(registry)
        ProcessCollector(registry=registry)
        # A series that appears with its first event hides that event from increase().
        for kind in EntryKind:
            self._ledger.entries.labels(kind=kind.name.lower())
        for outcome in Outcome:
            if outcome is not Outcome.APPLIED:
                self._ledger.refused.labels(outcome=outcome.name.lower())
        for target in FsyncTarget:
            self._process.fsync.labels(target=target.value)
        for port in Port:
            for reason in _CERTIFICATE_REASONS:
                self._certificates.refused.labels(port=port.value, reason=reason.name)
        for file in ReloadedFile:
            self._certificates.reloads_failed.labels(file=file.value)

    def exposition(self) -> bytes:
        """All series in Prometheus' text format."""
        return generate_latest(_WithoutCreationTimes(self.registry))

    # -- the process -------------------------------------------------------------------------

    def describe_build(self, *, version: str, ledger_version: int) -> None:
        """Say once what is running."""
        self._process.build.info({"version": version, "ledger_version": str(ledger_version)})

    def loop_lagged(self, *, seconds: float) -> None:
        """The event loop ran a timer so much too late."""
        self._process.loop_lag.observe(seconds)

    def certificate_expires(self, *, timestamp_s: float) -> None:
        """This peer's certificate ends then."""
        self._process.certificate_expiry.set(timestamp_s)

    def fsynced(self, target: FsyncTarget, *, seconds: float) -> None:
        """A durable write took so long."""
        self._process.fsync.labels(target=target.value).observe(seconds)

    def storage_measured(
        self, *, directory_bytes: int, free_bytes: int, capacity_bytes: int
    ) -> None:
        """The data directory and its disk have these sizes."""
        self._process.directory_bytes.set(directory_bytes)
        self._process.free_bytes.set(free_bytes)
        self._process.capacity_bytes.set(capacity_bytes)

    def log_lines_dropped(self, count: int) -> None:
        """So many log lines were given up."""
        self._process.log_lines_dropped.inc(count)

    # -- certificates ------------------------------------------------------------------------

    def certificate_refused(self, port: Port, reason: Reason) -> None:
        """A call or message was refused for the certificate it came under."""
        self._certificates.refused.labels(port=port.value, reason=reason.name).inc()

    def deny_list_read(self, *, certificates: int) -> None:
        """A deny list that names so many certificates is in force."""
        self._certificates.deny_list.set(certificates)

    def reload_failed(self, file: ReloadedFile) -> None:
        """A changed file could not be taken into use."""
        self._certificates.reloads_failed.labels(file=file.value).inc()

    # -- the pool ----------------------------------------------------------------------------

    def pool_changed(self, *, entries: int, size_bytes: int) -> None:
        """So much waits for a block."""
        self._process.pool_entries.set(entries)
        self._process.pool_bytes.set(size_bytes)

    def pool_full(self, *, entries: int) -> None:
        """So many entries were turned away."""
        self._process.pool_full.inc(entries)

    def batch_signed(self) -> None:
        """This peer signed a batch."""
        self._process.batches.inc()

    # -- consensus ---------------------------------------------------------------------------

    def leadership_changed(self, *, is_leader: bool, has_leader: bool, new_leader: bool) -> None:
        """Raft's leader came or went; `new_leader` when it is another one than before."""
        self._consensus.is_leader.set(is_leader)
        self._consensus.has_leader.set(has_leader)
        self._consensus.leader_changes.inc(new_leader)

    def can_commit_changed(self, *, can_commit: bool) -> None:
        """This peer can, or cannot, get an entry committed."""
        self._consensus.can_commit.set(can_commit)

    def block_proposed(self) -> None:
        """This leader handed a block to Raft."""
        self._consensus.proposals.inc()

    def proposal_dropped(self) -> None:
        """Raft did not take the block, or leadership was lost over it."""
        self._consensus.proposals_dropped.inc()

    def block_committed(self, *, seconds: float) -> None:
        """A block of this leader committed, so long after its proposal."""
        self._consensus.block_commit.observe(seconds)

    def not_held(self) -> None:
        """An append was not acknowledged: something in it does not fit its leaf."""
        self._consensus.not_held.inc()

    def peer_reachable(self, peer: PeerId, member: MemberId, *, reachable: bool) -> None:
        """Another peer is heard, or no longer."""
        labels = {"peer": show_peer_id(peer), "member": member}
        self._consensus.peer_reachable.labels(**labels).set(reachable)

    # -- the ledger --------------------------------------------------------------------------

    def block_applied(
        self,
        *,
        height: Height,
        tree_size: TreeSize,
        applied: Iterable[EntryKind],
        refused: Iterable[Outcome],
        seconds: float,
    ) -> None:
        """A block was applied: the kinds of entries that took effect, the outcomes of others."""
        self.ledger_at(height=height, tree_size=tree_size)
        self._ledger.blocks.inc()
        self._ledger.block_apply.observe(seconds)
        for kind, count in Counter(applied).items():
            self._ledger.entries.labels(kind=kind.name.lower()).inc(count)
        for outcome, count in Counter(refused).items():
            self._ledger.refused.labels(outcome=outcome.name.lower()).inc(count)

    def ledger_at(self, *, height: Height, tree_size: TreeSize) -> None:
        """The ledger stands there, as after a start."""
        self._ledger.height.set(height)
        self._ledger.tree_size.set(tree_size)

    def clock_compared(self, ahead_s: Callable[[], float]) -> None:
        """Ask `ahead_s` at each look how far this peer's clock is ahead of the voters' median."""
        self._consensus.clock_ahead.set_function(ahead_s)

    def block_ahead_of_clock(self) -> None:
        """A block was not acknowledged: its time is too far ahead of this peer's clock."""
        self._consensus.blocks_ahead.inc()

    def block_void(self) -> None:
        """A committed block has no effect."""
        self._consensus.void_blocks.inc()

    # -- certification -----------------------------------------------------------------------

    def certified(self, *, tree_size: TreeSize, timestamp_s: float) -> None:
        """A checkpoint of this size is certified; it was signed then."""
        self._certification.tree_size.set(tree_size)
        self._certification.timestamp.set(timestamp_s)

    def cosignatures(self, *, held: int, quorum: int) -> None:
        """So many members' signatures over the newest signed size are held, of so many needed."""
        self._certification.held.set(held)
        self._certification.quorum.set(quorum)

    def diverged(self) -> None:
        """A signed head contradicts this peer's tree."""
        self._certification.divergence.inc()

    def self_check_failed(self) -> None:
        """This peer's own verifier refused a receipt that it was about to hand out."""
        self._certification.self_check_failures.inc()

    # -- calls -------------------------------------------------------------------------------

    def grpc_started(self, grpc_type: str, service: str, method: str) -> None:
        """A call began."""
        self._calls.started.labels(grpc_type, service, method).inc()

    def grpc_handled(
        self, grpc_type: str, service: str, method: str, code: str, seconds: float
    ) -> None:
        """A call ended; `code` is written as others' dashboards expect it: OK, DeadlineExceeded."""
        self._calls.handled.labels(grpc_type, service, method, code).inc()
        self._calls.seconds.labels(grpc_type, service, method).observe(seconds)


class _WithoutCreationTimes(Collector):
    """The registry's families without the _created series, which nobody asks for here."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    @override
    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [
                sample for sample in family.samples if not sample.name.endswith("_created")
            ]
            yield family
