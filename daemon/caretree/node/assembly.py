"""What a peer is made of, put together once at its start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from caretree.config.values import Timing, TlsFiles
from caretree.crypto.custody import Custody
from caretree.crypto.derive import derive
from caretree.crypto.framing import LABEL_DIGEST_KEY, LABEL_ID_KEY
from caretree.crypto.keyed_hash import KeyedHash
from caretree.crypto.keystore import Keystore, PeerKeys
from caretree.crypto.remembering import RememberingCheck
from caretree.ledger.authoring import Author as AuthorName
from caretree.ledger.certificate import certification
from caretree.ledger.genesis import LEDGER_VERSION, Genesis
from caretree.ledger.holes import is_justified
from caretree.ledger.stored_blocks import StoredBlocks
from caretree.ledger.values import Batch, HeldEntry
from caretree.model.ids import Digest, Height, LogIndex, MemberId, PeerId, Place
from caretree.model.limits import BLOCK_BYTES_MAX
from caretree.node.appending import Appending
from caretree.node.applier import Applier
from caretree.node.author import RETRY_AFTER_MS, Author
from caretree.node.barrier import Barrier
from caretree.node.certified_store import load_certified
from caretree.node.certifier import Certifier
from caretree.node.clock import Clock, VoterClocks
from caretree.node.consensus import Consensus, Parts
from caretree.node.denials import Denials
from caretree.node.deny_list import DenyList
from caretree.node.desk import Desk
from caretree.node.disk import Disk
from caretree.node.following import Following
from caretree.node.granting import Granting
from caretree.node.inbound import Inbound, InboundParts
from caretree.node.keyrings import Keyrings
from caretree.node.pool import HeldBatch, Pool
from caretree.node.proofs import Proofs
from caretree.node.reading import Reading
from caretree.node.signing import Roots, Signing
from caretree.node.sources import StageAndStore
from caretree.node.startup import Recovered, recover
from caretree.node.trail import Trail
from caretree.node.transport import LinkContext, Transport
from caretree.raft.core import Jitter, RaftConfig
from caretree.raft.rawnode import RawNode
from caretree.telemetry.health import Health
from caretree.telemetry.logs import Logger
from caretree.telemetry.metrics import Metrics

MESSAGE_BYTES_MAX: Final = BLOCK_BYTES_MAX
INFLIGHT_MESSAGES_MAX: Final = 64
INFLIGHT_BYTES_MAX: Final = 8 * BLOCK_BYTES_MAX
COMMITTED_BYTES_MAX: Final = 4 * BLOCK_BYTES_MAX
READS_MAX: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSettings:
    """All that makes one peer another than the next."""

    genesis: Genesis
    member: MemberId
    own: PeerId
    keystore: Keystore = field(repr=False)
    peer_keys: PeerKeys = field(repr=False)
    pseudonym_key: bytes = field(repr=False)
    custody: Custody
    clock: Clock
    jitter: Jitter
    timing: Timing
    listen_peer: str
    tls: TlsFiles
    deny_list: DenyList
    addresses: Mapping[MemberId, str]
    version: str
    metrics: Metrics
    health: Health
    log: Logger


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerParts:
    """The parts, each of which has a module of its own."""

    consensus: Consensus
    applier: Applier
    pool: Pool
    author: Author
    transport: Transport
    certifier: Certifier
    signing: Signing
    following: Following
    inbound: Inbound
    proofs: Proofs
    desk: Desk
    appending: Appending
    reading: Reading
    granting: Granting
    trail: Trail
    denials: Denials


class Door:
    """Where batches are handed in and out: this peer's own to the leader, others' to the pool."""

    def __init__(self, settings: PeerSettings) -> None:
        self._settings = settings
        self._consensus: Consensus | None = None
        self._transport: Transport | None = None
        self._author: Author | None = None

    def attach(self, consensus: Consensus, transport: Transport, author: Author) -> None:
        """Name who takes batches, who carries them, and who made them."""
        self._consensus, self._transport, self._author = consensus, transport, author

    def hand_over(self, leader: PeerId, held: HeldBatch) -> bool:
        """Hand a batch of this peer's to the leader; False when it cannot be now."""
        assert self._consensus is not None
        assert self._transport is not None
        if leader != self._settings.own:
            return self._transport.send_batch(leader, held.batch.encoded)
        return self._consensus.add_batch(held)

    def held(self, batch: Batch) -> Sequence[HeldEntry] | None:
        """The entries of a batch that this peer has made itself."""
        assert self._author is not None
        return self._author.held(batch)

    def offered(self, sender: PeerId, held: HeldBatch) -> None:
        """Take a batch of another peer's in, or tell it to try again."""
        assert self._consensus is not None
        assert self._transport is not None
        if not self._consensus.add_batch(held):
            self._settings.metrics.pool_full(entries=len(held.batch.leaves))
            self._transport.send_batch_refused(
                sender, held.batch.signature, retry_after_ms=RETRY_AFTER_MS
            )

    def refused(self, sender: PeerId, signature: bytes, *, retry_after_ms: int) -> None:
        """The leader did not take a batch of this peer's."""
        del sender  # whoever says so: handing over late loses nothing
        assert self._author is not None
        self._author.refused(signature, retry_after_ms=retry_after_ms)


def assemble(settings: PeerSettings, disk: Disk) -> PeerParts:
    """The parts of a peer whose data directory is open.

    Raises:
        FatalError: the data directory does not hold what it must.
    """
    # One for all: a batch or line is verified once, wherever it is met again.
    check = RememberingCheck()
    found = recover(disk, settings.genesis, check=check)
    keeping = _assemble_keeping(settings, disk, found, check)
    door = Door(settings)
    author = Author(
        origin=settings.genesis.origin,
        own=settings.own,
        sign=check.signing_with(settings.peer_keys.batch),
        door=door,
        metrics=settings.metrics,
    )
    desk = _assemble_desk(settings, disk, found, keeping, author)
    following = Following(
        author=author,
        keyrings=desk.keyrings,
        stage=found.stage,
        proofs=keeping.proofs,
        roots=keeping.roots,
        certifier=keeping.certifier,
        signing=keeping.signing,
        metrics=settings.metrics,
    )
    voting = _assemble_voting(settings, disk, found, following)
    signing = keeping.signing
    voting.transport.attach(unreachable=voting.consensus.unreachable, opened=signing.introduce)
    signing.attach(voting.transport)
    door.attach(voting.consensus, voting.transport, author)
    barrier = Barrier(voting.consensus, settings.custody.random_bytes)
    denials = Denials()
    return PeerParts(
        consensus=voting.consensus,
        applier=found.applier,
        pool=voting.pool,
        author=author,
        transport=voting.transport,
        certifier=keeping.certifier,
        signing=keeping.signing,
        following=following,
        inbound=_assemble_inbound(settings, disk, found, keeping=keeping, voting=voting, door=door),
        proofs=keeping.proofs,
        desk=desk,
        appending=Appending(desk),
        reading=Reading(desk, barrier=barrier, denials=denials, clock=settings.clock),
        granting=Granting(desk, barrier),
        trail=Trail(desk),
        denials=denials,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Voting:
    """What orders blocks, and what it speaks through."""

    consensus: Consensus
    pool: Pool
    transport: Transport
    clocks: VoterClocks


def _assemble_voting(
    settings: PeerSettings, disk: Disk, found: Recovered, following: Following
) -> _Voting:
    clocks = VoterClocks(settings.clock)
    transport = _assemble_transport(settings, disk, found)
    pool = Pool()
    voters = tuple(peer.peer for peer in settings.genesis.voters)
    settings.metrics.clock_compared(lambda: clocks.ahead_s(voters, own=settings.own))
    consensus = Consensus(
        Parts(
            raft=RawNode(
                _raft_config(settings, found.log.applied()), found.log, jitter=settings.jitter
            ),
            log=found.log,
            disk=disk,
            stage=found.stage,
            applier=found.applier,
            pool=pool,
            own=settings.own,
            outlet=transport,
            followers=following,
            metrics=settings.metrics,
            logger=settings.log,
            block_time=lambda: clocks.median_ms(voters, own=settings.own),
        )
    )
    return _Voting(consensus=consensus, pool=pool, transport=transport, clocks=clocks)


def _assemble_inbound(
    settings: PeerSettings,
    disk: Disk,
    found: Recovered,
    *,
    keeping: "_Keeping",
    voting: _Voting,
    door: Door,
) -> Inbound:
    def holes_allowed(height: Height, digest: Digest, place: Place) -> bool:
        return is_justified(disk.store, height, digest, place)

    return Inbound(
        InboundParts(
            genesis=settings.genesis,
            store=disk.store,
            stage=found.stage,
            consensus=voting.consensus,
            certifier=keeping.certifier,
            check=keeping.check,
            clocks=voting.clocks,
            clock=settings.clock,
            batches=door,
            metrics=settings.metrics,
            log=settings.log,
            spread=keeping.signing.learnt,
            holes_allowed=holes_allowed,
            head=lambda: found.applier.head,
            log_end=lambda: max(found.log.last_index(), disk.watermark.read().last_index),
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keeping:
    """What knows the tree and its signatures."""

    check: RememberingCheck
    roots: Roots
    certifier: Certifier
    proofs: Proofs
    signing: Signing


def _assemble_keeping(
    settings: PeerSettings, disk: Disk, found: Recovered, check: RememberingCheck
) -> _Keeping:
    head = found.applier.head
    settings.metrics.ledger_at(height=head.height, tree_size=head.tree_size)
    rule = certification(settings.genesis)
    roots = Roots()
    roots.applied(head.tree_size, head.root)
    certifier = Certifier(
        rule,
        settings.clock,
        own_root=roots.root,
        newest=load_certified(disk.store, rule, head),
        check=check,
        metrics=settings.metrics,
        log=settings.log,
    )
    proofs = Proofs(
        reads=disk.store,
        genesis=settings.genesis,
        policy=rule.policy,
        certifier=certifier,
        clock=settings.clock,
        check=check,
        metrics=settings.metrics,
    )
    roots.attach(proofs)
    own = settings.genesis.peer(settings.own)
    assert own is not None
    signing = Signing(
        genesis=settings.genesis,
        own=own,
        keys=settings.peer_keys,
        clock=settings.clock,
        certifier=certifier,
        check=check,
    )
    return _Keeping(check=check, roots=roots, certifier=certifier, proofs=proofs, signing=signing)


def _assemble_desk(
    settings: PeerSettings, disk: Disk, found: Recovered, keeping: _Keeping, queue: Author
) -> Desk:
    author = AuthorName(origin=settings.genesis.origin, peer=settings.own, member=settings.member)
    secret = settings.keystore.member_secret
    return Desk(
        genesis=settings.genesis,
        author=author,
        reads=disk.store,
        blocks=StoredBlocks(disk.store),
        custody=settings.custody,
        keyrings=Keyrings(
            reads=disk.store,
            genesis=settings.genesis,
            author=author,
            custody=settings.custody,
            sealing_key=settings.keystore.sealing_key,
        ),
        queue=queue,
        certifier=keeping.certifier,
        proofs=keeping.proofs,
        pseudonym_epoch=settings.genesis.pseudonym_epoch,
        pseudonym_key=KeyedHash(settings.pseudonym_key, field="pseudonym key"),
        id_key=KeyedHash(derive(secret, LABEL_ID_KEY), field="id key"),
        digest_key=KeyedHash(derive(secret, LABEL_DIGEST_KEY), field="digest key"),
        block_time_ms=lambda: found.applier.head.time_ms,
    )


def _assemble_transport(settings: PeerSettings, disk: Disk, found: Recovered) -> Transport:
    context = LinkContext(
        genesis=settings.genesis,
        own=settings.own,
        tls=settings.tls,
        clock=settings.clock,
        blocks=StageAndStore(found.stage, disk),
        version=settings.version,
        ledger_version_max=LEDGER_VERSION,
        jitter=settings.jitter,
        log=settings.log,
    )
    addresses = {
        peer.peer: settings.addresses.get(peer.member, peer.address)
        for peer in settings.genesis.peers
    }
    return Transport(context, addresses)


def _raft_config(settings: PeerSettings, applied: LogIndex) -> RaftConfig:
    timing = settings.timing
    return RaftConfig(
        peer=settings.own,
        election_ticks=timing.election_ticks,
        heartbeat_ticks=timing.heartbeat_ticks,
        applied=applied,
        message_bytes_max=MESSAGE_BYTES_MAX,
        committed_bytes_max=COMMITTED_BYTES_MAX,
        uncommitted_bytes_max=2 * BLOCK_BYTES_MAX,
        inflight_messages_max=INFLIGHT_MESSAGES_MAX,
        inflight_bytes_max=INFLIGHT_BYTES_MAX,
        reads_max=READS_MAX,
        pre_vote=True,
        check_quorum=True,
        step_down_on_removal=True,
    )
