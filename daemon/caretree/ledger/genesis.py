"""How a consortium begins: everything that every peer must agree on from the start.

    genesis hash = SHA-256(lp("caretree/v1/genesis", genesis bytes))
    origin       = the consortium's name, "/", the first 8 hex digits of the genesis hash

The hash is over the bytes as the founders signed them; they are parsed here once and never encoded
again.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from caretree.crypto.framing import LABEL_GENESIS, U64_MAX, length_prefixed
from caretree.crypto.suite import FORMAT_VERSION, SUITE_1
from caretree.ledger.members import Member, Peer, encode_member, parse_member
from caretree.ledger.wire import (
    check_at_most,
    check_format,
    check_range,
    check_unique,
    check_visible,
    parse_strict,
)
from caretree.model.errors import MalformedError
from caretree.model.ids import (
    Digest,
    MemberId,
    Origin,
    PeerId,
    TimeMs,
    parse_consortium_name,
    show_peer_id,
)
from caretree.model.limits import IDENTIFIER_BYTES_MAX, KIB, MEMBERS_MAX, VOTERS_MAX
from caretree.proto.ledger.v1 import genesis_pb2

GENESIS_BYTES_MAX: Final = 512 * KIB
IDENTIFIER_SYSTEMS_MAX: Final = 16
SIGNERS_MAX: Final = 64  # their lines and the voters' fit into the 100 that a note may have
LEDGER_VERSION: Final = 1  # the newest rules that this Caretree decides by
FIRST_MEMBERSHIP_EPOCH: Final = 1
FIRST_PSEUDONYM_EPOCH: Final = 1
SIGNERS_WITHOUT_LIARS_MAX: Final = 3  # up to three signers no lie is withstood


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis:
    """A parsed genesis. Two are equal when their bytes are."""

    encoded: bytes = field(repr=False)
    hash: Digest = field(compare=False)
    origin: Origin = field(compare=False)
    consortium: str = field(compare=False)
    time_ms: TimeMs = field(compare=False)
    ledger_version: int = field(compare=False)
    faulty_signers_max: int = field(compare=False)
    identifier_systems: tuple[str, ...] = field(compare=False)
    pseudonym_epoch: int = field(compare=False)
    members: tuple[Member, ...] = field(compare=False, repr=False)
    _member_by_id: dict[MemberId, Member] = field(compare=False, repr=False)
    _peer_by_id: dict[PeerId, Peer] = field(compare=False, repr=False)

    def member(self, member: MemberId) -> Member | None:
        """The member with this id, if there is one."""
        return self._member_by_id.get(member)

    def peer(self, peer: PeerId) -> Peer | None:
        """The peer with this id, if there is one."""
        return self._peer_by_id.get(peer)

    @property
    def peers(self) -> tuple[Peer, ...]:
        """All peers, in the order of their members."""
        return tuple(self._peer_by_id.values())

    @property
    def voters(self) -> tuple[Peer, ...]:
        """The peers that vote."""
        return tuple(peer for peer in self.peers if peer.voter)

    @property
    def signers(self) -> tuple[Peer, ...]:
        """The peers whose co-signatures count: voters and witnesses."""
        return tuple(peer for peer in self.peers if peer.signer)

    @property
    def certification_quorum(self) -> int:
        """q: how many distinct members must have co-signed (ARCHITECTURE section 6)."""
        return _quorum(len(self.signers), faulty=self.faulty_signers_max)


def encode_genesis(
    *,
    consortium: str,
    time_ms: TimeMs,
    identifier_systems: Sequence[str],
    members: Sequence[Member],
) -> bytes:
    """The bytes of a genesis by this Caretree's rules, checked in full.

    Raises:
        MalformedError: it is not a genesis that `parse_genesis` takes.
    """
    signers = sum(peer.signer for member in members for peer in member.peers)
    encoded = genesis_pb2.Genesis(
        version=FORMAT_VERSION,
        suite=SUITE_1,
        consortium=consortium,
        time_ms=time_ms,
        ledger_version=LEDGER_VERSION,
        faulty_signers_max=faulty_signers_max(signers),
        identifier_systems=identifier_systems,
        pseudonym_epoch=FIRST_PSEUDONYM_EPOCH,
        members=[encode_member(member) for member in members],
    ).SerializeToString()
    parse_genesis(encoded)
    return encoded


def parse_genesis(encoded: bytes) -> Genesis:
    """The genesis of these bytes, in which every rule of a genesis holds.

    Raises:
        MalformedError: one does not, or it is newer than this Caretree.
    """
    check_at_most(len(encoded), GENESIS_BYTES_MAX, field="genesis", unit="bytes")
    message = parse_strict(genesis_pb2.Genesis, encoded, field="genesis")
    check_format(message.version, message.suite, field="genesis")
    consortium = parse_consortium_name(message.consortium)
    check_range(message.time_ms, least=1, most=U64_MAX, field="genesis.time_ms")
    _check_ledger_version(message.ledger_version)
    check_identifier_systems(message.identifier_systems)
    if message.pseudonym_epoch != FIRST_PSEUDONYM_EPOCH:
        raise MalformedError("genesis.pseudonym_epoch", f"expected {FIRST_PSEUDONYM_EPOCH}")
    check_range(len(message.members), least=1, most=MEMBERS_MAX, field="genesis.members")
    members = tuple(parse_member(member, founded=True) for member in message.members)
    _check_distinct(members)
    peers = [peer for member in members for peer in member.peers]
    _check_signers(peers, faulty=message.faulty_signers_max)
    digest = genesis_hash(encoded)
    return Genesis(
        encoded=encoded,
        hash=digest,
        origin=Origin(f"{consortium}/{digest.hex()[:8]}"),
        consortium=consortium,
        time_ms=TimeMs(message.time_ms),
        ledger_version=message.ledger_version,
        faulty_signers_max=message.faulty_signers_max,
        identifier_systems=tuple(message.identifier_systems),
        pseudonym_epoch=message.pseudonym_epoch,
        members=members,
        _member_by_id={member.member: member for member in members},
        _peer_by_id={peer.peer: peer for peer in peers},
    )


def genesis_hash(encoded: bytes) -> Digest:
    """The hash by which a genesis is known."""
    return Digest(hashlib.sha256(length_prefixed(LABEL_GENESIS, encoded)).digest())


def faulty_signers_max(signers: int) -> int:
    """b: how many lying signers certification withstands among so many."""
    return 0 if signers <= SIGNERS_WITHOUT_LIARS_MAX else 1


def cosigner_name(origin: Origin, peer: Peer) -> str:
    """The name under which a peer co-signs checkpoints: origin, member and peer id."""
    return f"{origin}/{peer.member}/{show_peer_id(peer.peer)}"


def check_identifier_systems(systems: Sequence[str]) -> None:
    """Return when these are systems of patient identifiers, at least one, each once.

    Raises:
        MalformedError: otherwise.
    """
    field_name = "identifier_systems"
    check_range(len(systems), least=1, most=IDENTIFIER_SYSTEMS_MAX, field=field_name)
    check_unique(systems, field=field_name)
    for system in systems:
        check_visible(system, length_max=IDENTIFIER_BYTES_MAX, field=field_name)


def _quorum(signers: int, *, faulty: int) -> int:
    # ceil((n + b + 1) / 2): any two quorums share more than b signers.
    return (signers + faulty + 2) // 2


def _check_ledger_version(version: int) -> None:
    if version > LEDGER_VERSION:
        raise MalformedError(
            "genesis.ledger_version",
            f"{version} is newer than {LEDGER_VERSION}; upgrade Caretree to follow it",
        )
    if version != LEDGER_VERSION:
        raise MalformedError("genesis.ledger_version", f"expected {LEDGER_VERSION}")


def _check_distinct(members: Sequence[Member]) -> None:
    """Refuse a name, key or authority that two members, or two peers, share."""
    check_unique([member.member for member in members], field="genesis.members")
    check_unique([member.sealing_key for member in members], field="member.sealing_key")
    # Two members under one authority could not be told apart by their certificates.
    check_unique([member.ca_certificate for member in members], field="member.ca_certificate")
    # A key that serves two purposes could make a signature for one pass for the other.
    signing_keys = [member.member_key for member in members]
    for member in members:
        for peer in member.peers:
            signing_keys.extend(peer.keys)
    check_unique(signing_keys, field="genesis signing keys")
    check_unique([peer.peer for member in members for peer in member.peers], field="peer ids")


def _check_signers(peers: Sequence[Peer], *, faulty: int) -> None:
    """Refuse too few or many voters, another b than the rule's, and a quorum out of reach.

    An even number of voters is allowed: it withstands no more crashes than one fewer, but a
    consortium of two or four members need not leave one out.
    """
    check_range(sum(peer.voter for peer in peers), least=1, most=VOTERS_MAX, field="genesis voters")
    by_member = Counter(peer.member for peer in peers if peer.signer)
    signers = by_member.total()
    check_range(signers, least=1, most=SIGNERS_MAX, field="genesis signers")
    if faulty != faulty_signers_max(signers):
        raise MalformedError(
            "genesis.faulty_signers_max",
            f"expected {faulty_signers_max(signers)} with {signers} signers, found {faulty}",
        )
    # Signers of one member count once, so several at few members may never reach the quorum.
    quorum = _quorum(signers, faulty=faulty)
    if quorum > len(by_member):
        raise MalformedError(
            "genesis signers",
            f"{signers} signers need co-signatures of {quorum} members,"
            f" but belong to {len(by_member)}",
        )
