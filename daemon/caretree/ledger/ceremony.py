"""The founding of a consortium, step by step; each step takes files and gives one.

1. Anyone writes an invitation: name, systems of identifiers, members.        create_invitation
2. Each invited member answers with its keys, signed by its member key.       make_join_request
3. One collects the answers into the genesis, draws the pseudonym key and
   seals it to each member.                                                   found
4. Each founder checks that the genesis says exactly what it was invited to
   and what it asked for, that the pseudonym key opens, and signs.            sign_genesis
5. One puts all signatures beside the genesis.                                combine
6. Each peer imports it by a hash that its operator got by another way; an
   import without every founder's signature is refused.                       check_founded

A founder signature is by the member key over lp("caretree/v1/founder", genesis hash, member).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from caretree.crypto.ed25519 import SIGNATURE_BYTES
from caretree.crypto.framing import LABEL_FOUNDER, length_prefixed
from caretree.crypto.pseudonym import pseudonym_key_seal_info
from caretree.crypto.suite import check_key
from caretree.ledger.armour import Armour, format_armour, parse_armour
from caretree.ledger.genesis import (
    FIRST_PSEUDONYM_EPOCH,
    Genesis,
    encode_genesis,
    parse_genesis,
)
from caretree.ledger.invitations import (
    CeremonyError,
    Invitation,
    JoinRequest,
    Sign,
    check_invited,
    parse_invitation,
    parse_join_request,
    signature_holds,
)
from caretree.ledger.members import Member
from caretree.ledger.wire import check_length, parse_strict
from caretree.model.errors import MalformedError, VerificationError
from caretree.model.ids import Digest, MemberId, TimeMs, parse_member_id
from caretree.proto.ledger.v1 import genesis_pb2


class Seal(Protocol):
    """Seals a secret to a member's sealing key (crypto.custody.seal_to)."""

    def __call__(self, public_key: bytes, /, *, info: bytes, secret: bytes) -> bytes:
        """The sealed secret, which opens under the same `info` alone."""
        ...


class Unseal(Protocol):
    """Opens with the member's own sealing key what was sealed to it."""

    def __call__(self, *, info: bytes, sealed: bytes) -> bytes:
        """The secret.

        Raises:
            VerificationError: it does not open.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FounderSignature:
    """A founder's signature over a genesis; whether it holds is not known yet."""

    member: MemberId
    signature: bytes = field(repr=False)


def found(
    invitation: bytes,
    *,
    requests: Sequence[bytes],
    pseudonym_key: bytes,
    seal: Seal,
    time_ms: TimeMs,
) -> bytes:
    """The genesis file: members in the invitation's order, the pseudonym key sealed to each.

    Raises:
        MalformedError: a file that is none, or members that make no genesis (a shared key, say).
        CeremonyError: a signature that does not hold, an answer to another invitation or from who
            was not invited, a member that answered twice or not at all.
    """
    check_key(pseudonym_key, field="pseudonym key")
    invited = parse_invitation(invitation)
    answers = _answers(invited, [parse_join_request(request) for request in requests])
    members = []
    for name in invited.members:
        member = answers[name]
        info = _pseudonym_info(invited.consortium, name)
        sealed = seal(member.sealing_key, info=info, secret=pseudonym_key)
        members.append(replace(member, sealed_pseudonym_key=sealed))
    encoded = encode_genesis(
        consortium=invited.consortium,
        time_ms=time_ms,
        identifier_systems=invited.identifier_systems,
        members=members,
    )
    return format_armour(Armour.GENESIS, encoded)


def parse_genesis_file(file: bytes) -> Genesis:
    """The genesis in a file that `found` wrote; nobody's signature is on it.

    Raises:
        MalformedError: it is none.
    """
    return parse_genesis(parse_armour(Armour.GENESIS, file))


def sign_genesis(
    genesis: bytes, *, invitation: bytes, request: bytes, unseal: Unseal, sign: Sign
) -> bytes:
    """The founder signature file of the member whose own join request this is.

    Raises:
        MalformedError: a file that is none.
        CeremonyError: the genesis is not exactly what this founder was invited to and asked for,
            or the pseudonym key does not open, or `sign` is not the member key's.
    """
    founding = parse_genesis_file(genesis)
    own = parse_join_request(request)
    member = own.member.member
    _check_as_invited(founding, parse_invitation(invitation), own)
    open_pseudonym_key(founding, member=member, unseal=unseal)
    signature = sign(_founder_message(founding, member))
    if not signature_holds(own.member.member_key, _founder_message(founding, member), signature):
        raise CeremonyError(f"the signing key is not the member key that {member} asked for")
    message = genesis_pb2.FounderSignature(member=member, signature=signature)
    return format_armour(Armour.FOUNDER_SIGNATURE, message.SerializeToString())


def open_pseudonym_key(genesis: Genesis, *, member: MemberId, unseal: Unseal) -> bytes:
    """The pseudonym key, out of what the genesis holds for this member.

    Raises:
        CeremonyError: the member is none of the genesis, or the key does not open.
    """
    named = genesis.member(member)
    if named is None:
        raise CeremonyError(f"{member} is no member of {genesis.origin}")
    info = _pseudonym_info(genesis.consortium, member)
    try:
        return check_key(
            unseal(info=info, sealed=named.sealed_pseudonym_key), field="pseudonym key"
        )
    except (MalformedError, VerificationError) as error:
        raise CeremonyError(f"the pseudonym key sealed to {member} does not open") from error


def combine(genesis: bytes, *, signatures: Sequence[bytes]) -> bytes:
    """The founded genesis file: the genesis with all founders' signatures, in their order.

    Raises:
        MalformedError: a file that is none.
        CeremonyError: a founder's signature is missing, there twice, or does not hold.
    """
    founding = parse_genesis_file(genesis)
    found_signatures = [_parse_signature_file(signature) for signature in signatures]
    by_member = _check_signatures(founding, found_signatures)
    message = genesis_pb2.FoundedGenesis(
        genesis=founding.encoded,
        signatures=[
            genesis_pb2.FounderSignature(member=member.member, signature=by_member[member.member])
            for member in founding.members
        ],
    )
    return format_armour(Armour.FOUNDED_GENESIS, message.SerializeToString())


def check_founded(founded: bytes, *, expected_hash: Digest) -> Genesis:
    """The genesis in a founded genesis file, signed by every founder, when it has this hash.

    Raises:
        MalformedError: the file is none, or holds no genesis.
        CeremonyError: the hash is another, or a founder's signature is missing or does not hold.
    """
    content = parse_armour(Armour.FOUNDED_GENESIS, founded)
    message = parse_strict(genesis_pb2.FoundedGenesis, content, field="founded genesis")
    genesis = parse_genesis(message.genesis)
    if genesis.hash != expected_hash:
        raise CeremonyError(
            f"expected the genesis {expected_hash.hex()}, found {genesis.hash.hex()}"
        )
    _check_signatures(genesis, [_parse_signature(entry) for entry in message.signatures])
    return genesis


def _answers(invited: Invitation, requests: Sequence[JoinRequest]) -> dict[MemberId, Member]:
    """What each invited member asked for."""
    answers: dict[MemberId, Member] = {}
    for request in requests:
        check_invited(invited, request)
        if request.member.member in answers:
            raise CeremonyError(f"{request.member.member} sent more than one join request")
        answers[request.member.member] = request.member
    missing = [member for member in invited.members if member not in answers]
    if missing:
        raise CeremonyError(f"the join request of {', '.join(missing)} is missing")
    return answers


def _check_as_invited(genesis: Genesis, invited: Invitation, own: JoinRequest) -> None:
    """Refuse a genesis that differs in anything that this founder saw before."""
    check_invited(invited, own)
    if genesis.consortium != invited.consortium:
        raise CeremonyError(f"the genesis is of {genesis.consortium}, not {invited.consortium}")
    if genesis.identifier_systems != invited.identifier_systems:
        raise CeremonyError("the genesis accepts other identifier systems than the invitation")
    if tuple(member.member for member in genesis.members) != invited.members:
        raise CeremonyError("the genesis names other members than the invitation")
    named = genesis.member(own.member.member)
    assert named is not None, "invited, and all who were invited are in the genesis"
    if replace(named, sealed_pseudonym_key=b"") != own.member:
        raise CeremonyError(f"the genesis does not say what {named.member} asked for")


def _parse_signature_file(file: bytes) -> FounderSignature:
    content = parse_armour(Armour.FOUNDER_SIGNATURE, file)
    return _parse_signature(
        parse_strict(genesis_pb2.FounderSignature, content, field="founder signature")
    )


def _parse_signature(message: genesis_pb2.FounderSignature) -> FounderSignature:
    check_length(message.signature, SIGNATURE_BYTES, field="founder signature")
    return FounderSignature(member=parse_member_id(message.member), signature=message.signature)


def _check_signatures(
    genesis: Genesis, signatures: Sequence[FounderSignature]
) -> dict[MemberId, bytes]:
    """The signatures by member: one of each founder, every one good."""
    by_member = {entry.member: entry.signature for entry in signatures}
    if len(by_member) != len(signatures):
        raise CeremonyError("a founder's signature is there twice")
    for entry in signatures:
        member = genesis.member(entry.member)
        if member is None:
            raise CeremonyError(f"{entry.member} signed, but is no founder")
        if not signature_holds(
            member.member_key, _founder_message(genesis, entry.member), entry.signature
        ):
            raise CeremonyError(f"the signature of {entry.member} does not hold")
    missing = [member.member for member in genesis.members if member.member not in by_member]
    if missing:
        raise CeremonyError(f"the signature of {', '.join(missing)} is missing")
    return by_member


def _founder_message(genesis: Genesis, member: MemberId) -> bytes:
    return length_prefixed(LABEL_FOUNDER, genesis.hash, member.encode())


def _pseudonym_info(consortium: str, member: MemberId) -> bytes:
    return pseudonym_key_seal_info(
        consortium=consortium, epoch=FIRST_PSEUDONYM_EPOCH, recipient=member
    )
