"""Invitations to a consortium and the answers to them: the first two steps of the ceremony.

invitation hash = SHA-256(lp("caretree/v1/invitation", invitation bytes))
join request    signed by the member key over lp("caretree/v1/join", join request bytes)
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from caretree.crypto.ed25519 import verify
from caretree.crypto.framing import LABEL_INVITATION, LABEL_JOIN, length_prefixed
from caretree.crypto.suite import FORMAT_VERSION, check_version
from caretree.ledger.armour import Armour, format_armour, parse_armour
from caretree.ledger.genesis import check_identifier_systems
from caretree.ledger.members import Member, encode_member, parse_member
from caretree.ledger.wire import check_length, check_range, check_unique, parse_strict
from caretree.model.errors import VerificationError
from caretree.model.ids import Digest, MemberId, parse_consortium_name, parse_member_id
from caretree.model.limits import MEMBERS_MAX
from caretree.proto.ledger.v1 import genesis_pb2

INVITATION_NONCE_BYTES: Final = 16

Sign = Callable[[bytes], bytes]


class CeremonyError(VerificationError):
    """A founding step is refused, because something is not as all agreed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What founders are invited to. Known by the hash of its bytes."""

    consortium: str
    identifier_systems: tuple[str, ...]
    members: tuple[MemberId, ...]
    hash: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRequest:
    """A founder's answer, its signature verified."""

    invitation_hash: Digest
    member: Member


def create_invitation(
    *, consortium: str, identifier_systems: Sequence[str], members: Sequence[str], nonce: bytes
) -> bytes:
    """The invitation file. `nonce` is 16 random bytes, so that no two invitations are the same.

    Raises:
        MalformedError: a name that is none, or a member or system named twice or not at all.
    """
    message = genesis_pb2.Invitation(
        version=FORMAT_VERSION,
        consortium=consortium,
        identifier_systems=identifier_systems,
        members=members,
        nonce=nonce,
    )
    file = format_armour(Armour.INVITATION, message.SerializeToString())
    parse_invitation(file)
    return file


def parse_invitation(file: bytes) -> Invitation:
    """The invitation in a file.

    Raises:
        MalformedError: it is none, or a field is not as genesis.proto says.
    """
    encoded = parse_armour(Armour.INVITATION, file)
    message = parse_strict(genesis_pb2.Invitation, encoded, field="invitation")
    check_version(message.version, field="invitation.version")
    check_identifier_systems(message.identifier_systems)
    check_range(len(message.members), least=1, most=MEMBERS_MAX, field="invitation.members")
    check_unique(message.members, field="invitation.members")
    check_length(message.nonce, INVITATION_NONCE_BYTES, field="invitation.nonce")
    return Invitation(
        consortium=parse_consortium_name(message.consortium),
        identifier_systems=tuple(message.identifier_systems),
        members=tuple(parse_member_id(member) for member in message.members),
        hash=Digest(hashlib.sha256(length_prefixed(LABEL_INVITATION, encoded)).digest()),
    )


def make_join_request(invitation: bytes, *, member: Member, sign: Sign) -> bytes:
    """The join request file: what the genesis is to say of this member, signed by its member key.

    Raises:
        MalformedError: the invitation is none, or `member` is not as a genesis may name one.
        CeremonyError: the member is not invited, or `sign` is not its member key's.
    """
    invited = parse_invitation(invitation)
    encoded = genesis_pb2.JoinRequest(
        version=FORMAT_VERSION, invitation_hash=invited.hash, member=encode_member(member)
    ).SerializeToString()
    signed = genesis_pb2.SignedJoinRequest(
        join_request=encoded, signature=sign(length_prefixed(LABEL_JOIN, encoded))
    )
    file = format_armour(Armour.JOIN_REQUEST, signed.SerializeToString())
    check_invited(invited, parse_join_request(file))
    return file


def parse_join_request(file: bytes) -> JoinRequest:
    """The join request in a file, signed by the member key that it names.

    Raises:
        MalformedError: it is none, or a field is not as genesis.proto says.
        CeremonyError: the signature does not hold.
    """
    content = parse_armour(Armour.JOIN_REQUEST, file)
    signed = parse_strict(genesis_pb2.SignedJoinRequest, content, field="join request")
    encoded = signed.join_request
    message = parse_strict(genesis_pb2.JoinRequest, encoded, field="join request")
    check_version(message.version, field="join request.version")
    invitation_hash = check_length(
        message.invitation_hash, 32, field="join request.invitation_hash"
    )
    member = parse_member(message.member, founded=False)
    signed_message = length_prefixed(LABEL_JOIN, encoded)
    if not signature_holds(member.member_key, signed_message, signed.signature):
        raise CeremonyError(f"the join request of {member.member} is not signed by its member key")
    return JoinRequest(invitation_hash=Digest(invitation_hash), member=member)


def check_invited(invited: Invitation, request: JoinRequest) -> None:
    """Return when the request answers this invitation and comes from who is invited.

    Raises:
        CeremonyError: otherwise.
    """
    member = request.member.member
    if request.invitation_hash != invited.hash:
        raise CeremonyError(f"the join request of {member} answers another invitation")
    if member not in invited.members:
        raise CeremonyError(f"{member} is not invited to {invited.consortium}")


def signature_holds(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature holds by crypto.ed25519's rule."""
    try:
        verify(public_key, message, signature)
    except VerificationError:
        return False
    return True
