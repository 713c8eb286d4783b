"""When a checkpoint is CERTIFIED: whose lines count, how they are made, gathered and written down.

CERTIFIED = one 0x01 line of a voter's log key under the origin, and 0x04 lines of co-signers of q
distinct members (ARCHITECTURE section 6; INV-17). The same rule, written as a tlog-policy, is what
a verifier anywhere is given.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from caretree.crypto.ed25519 import verify
from caretree.ledger.genesis import Genesis, cosigner_name
from caretree.ledger.members import Peer
from caretree.merkle import note as notes
from caretree.merkle.certificate import Certificate, Merged, merge_lines
from caretree.merkle.checkpoint import Checkpoint, format_checkpoint
from caretree.merkle.cosignature import cosign_line
from caretree.merkle.keys import SignatureType, VerifierKey
from caretree.merkle.lines import Sign, SignatureCheck, SignatureLine, sign_note_line
from caretree.merkle.policy import (
    Group,
    Log,
    Policy,
    VerifiedCheckpoint,
    Witness,
    verify_checkpoint,
)
from caretree.merkle.policy_text import format_policy
from caretree.model.errors import VerificationError
from caretree.model.ids import MemberId, Origin, show_peer_id

# Member ids hold no slash, so neither name below can be taken by a member's own group or witness.
_QUORUM: Final = "certified"
_ANY_OF: Final = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certification:
    """The rule of one membership epoch, worked out once: which keys count, and for which member."""

    origin: Origin
    quorum: int
    policy: Policy
    keys: tuple[VerifierKey, ...]
    _member_by_cosigner: dict[VerifierKey, MemberId] = field(repr=False)

    def member(self, cosigner: VerifierKey) -> MemberId:
        """The member for whom this co-signer's line counts."""
        return self._member_by_cosigner[cosigner]


class OriginError(VerificationError):
    """A checkpoint is of another log."""

    def __init__(self, *, expected: Origin, found: Origin) -> None:
        super().__init__(f"expected a checkpoint of {expected}, found one of {found}")
        self.expected = expected
        self.found = found


def certification(genesis: Genesis) -> Certification:
    """The rule that the genesis sets for its membership epoch."""
    policy = certification_policy(genesis)
    return Certification(
        origin=genesis.origin,
        quorum=genesis.certification_quorum,
        policy=policy,
        keys=policy.verifiers(genesis.origin),
        _member_by_cosigner={
            cosigner_key(genesis.origin, peer): peer.member for peer in genesis.signers
        },
    )


def certification_policy(genesis: Genesis) -> Policy:
    """The rule as a policy: a witness for each signer, grouped so that a member counts once."""
    groups: list[Group] = []
    counted: list[str] = []
    for member in genesis.members:
        names = tuple(_witness_name(peer) for peer in member.peers if peer.signer)
        if len(names) > 1:
            group = Group(name=f"{member.member}/{_ANY_OF}", threshold=1, members=names)
            groups.append(group)
            names = (group.name,)
        counted += names
    quorum = Group(name=_QUORUM, threshold=genesis.certification_quorum, members=tuple(counted))
    return Policy(
        logs=tuple(Log(key=log_key(genesis.origin, peer), url=None) for peer in genesis.voters),
        witnesses=tuple(
            Witness(name=_witness_name(peer), key=cosigner_key(genesis.origin, peer), url=None)
            for peer in genesis.signers
        ),
        groups=(*groups, quorum),
        quorum=_QUORUM,
    )


def policy_text(genesis: Genesis) -> str:
    """The policy as a C2SP tlog-policy file, for `caretree verify` and the tools of others."""
    return format_policy(certification_policy(genesis)).decode("ascii")


def log_key(origin: Origin, peer: Peer) -> VerifierKey:
    """The key behind a voter's 0x01 lines, which bear the origin as their name."""
    return VerifierKey(name=origin, signature_type=SignatureType.NOTE, public_key=peer.log_key)


def cosigner_key(origin: Origin, peer: Peer) -> VerifierKey:
    """The key behind a signer's 0x04 lines, which bear its own name."""
    return VerifierKey(
        name=cosigner_name(origin, peer),
        signature_type=SignatureType.COSIGNATURE,
        public_key=peer.cosigner_key,
    )


def sign_log_line(checkpoint: Checkpoint, *, peer: Peer, sign: Sign) -> SignatureLine:
    """A voter's 0x01 line, made with its log key. Only for what is committed and applied."""
    assert peer.voter
    text = format_checkpoint(checkpoint)
    return sign_note_line(text, name=checkpoint.origin, public_key=peer.log_key, sign=sign)


def sign_cosigner_line(
    checkpoint: Checkpoint, *, peer: Peer, sign: Sign, time_s: int
) -> SignatureLine:
    """A signer's 0x04 line, made with its co-signer key. Only for a root it computed itself."""
    assert peer.signer
    return cosign_line(
        format_checkpoint(checkpoint),
        name=cosigner_name(checkpoint.origin, peer),
        public_key=peer.cosigner_key,
        time_s=time_s,
        sign=sign,
    )


def sign_lines(
    checkpoint: Checkpoint, *, peer: Peer, sign_log: Sign, sign_cosigner: Sign, time_s: int
) -> tuple[SignatureLine, SignatureLine]:
    """A voter's answer to a size that it applied: its 0x01 line, then its 0x04 line."""
    return (
        sign_log_line(checkpoint, peer=peer, sign=sign_log),
        sign_cosigner_line(checkpoint, peer=peer, sign=sign_cosigner, time_s=time_s),
    )


def start_certificate(checkpoint: Checkpoint) -> Certificate:
    """A certificate of this checkpoint that nobody signed yet."""
    return Certificate(checkpoint=checkpoint, lines=())


def add_lines(
    certificate: Certificate,
    lines: Iterable[SignatureLine],
    rule: Certification,
    *,
    check: SignatureCheck = verify,
) -> Merged:
    """The certificate with these lines as far as they hold; the others are named beside it.

    Raises:
        OriginError: the certificate is of another log.
    """
    _check_origin(certificate.checkpoint, rule)
    return merge_lines(certificate, lines, keys=rule.keys, check=check)


def is_certified(certificate: Certificate, rule: Certification) -> bool:
    """Whether the lines gathered so far are enough."""
    return _enough(certificate, rule) is not None


def format_note(certificate: Certificate) -> bytes:
    """The checkpoint with every line gathered, as it is served; there is at least one."""
    return notes.format_note(certificate.note())


def format_certified_note(certificate: Certificate, rule: Certification) -> bytes:
    """The checkpoint with just the lines that certify it, as a receipt carries it.

    Every further line would cost whoever verifies the receipt another 110 us and prove no more.
    Requires a certified checkpoint.
    """
    lines = _enough(certificate, rule)
    assert lines is not None, "only a certified checkpoint goes into a receipt"
    text = format_checkpoint(certificate.checkpoint)
    return notes.format_note(notes.Note(text=text, lines=lines))


def verify_certified(note: bytes, rule: Certification) -> VerifiedCheckpoint:
    """The checkpoint of a note that someone handed on, when it is certified by this rule.

    Raises:
        MalformedError: no note of a checkpoint.
        VerificationError: another log's, a signature that does not hold, or too few.
    """
    parsed = notes.parse_note(note)
    verified = verify_checkpoint(parsed, rule.policy, verify)
    _check_origin(verified.checkpoint, rule)
    return verified


def _enough(certificate: Certificate, rule: Certification) -> tuple[SignatureLine, ...] | None:
    """One 0x01 line and the 0x04 lines of q members, in the order of the rule's keys, or None."""
    log_line: SignatureLine | None = None
    cosigned: dict[MemberId, SignatureLine] = {}
    for verified in certificate.lines:
        match verified.key.signature_type:
            case SignatureType.NOTE:
                log_line = log_line or verified.line
            case SignatureType.COSIGNATURE:
                if len(cosigned) < rule.quorum:
                    cosigned.setdefault(rule.member(verified.key), verified.line)
    if log_line is None or len(cosigned) < rule.quorum:
        return None
    return log_line, *cosigned.values()


def _check_origin(checkpoint: Checkpoint, rule: Certification) -> None:
    if checkpoint.origin != rule.origin:
        raise OriginError(expected=rule.origin, found=checkpoint.origin)


def _witness_name(peer: Peer) -> str:
    return f"{peer.member}/{show_peer_id(peer.peer)}"
