"""Members and their peers, as a genesis and a join request name them."""

import re
from dataclasses import dataclass
from typing import Final

from caretree.crypto.custody import SEALED_KEY_BYTES
from caretree.crypto.ed25519 import check_public_key
from caretree.crypto.peer_identity import derive_peer_id
from caretree.crypto.x25519 import SEALING_PUBLIC_KEY_BYTES
from caretree.ledger.wire import check_at_most, check_length
from caretree.model.errors import MalformedError, VerificationError
from caretree.model.ids import MemberId, PeerId, parse_member_id
from caretree.model.limits import KIB
from caretree.proto.ledger.v1 import genesis_pb2

DISPLAY_NAME_BYTES_MAX: Final = 128
CA_CERTIFICATE_BYTES_MAX: Final = 4 * KIB
MEMBER_PEERS_MAX: Final = 16
ADDRESS_LENGTH_MAX: Final = 260  # a host name has at most 253 characters
PORT_MAX: Final = 65_535

_DER_SEQUENCE: Final = 0x30  # every certificate begins so (X.690 8.9)
_ADDRESS: Final = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]):([1-9][0-9]{0,4})"
)
# Control characters, separators of lines, and the marks that make text read in another order than
# it is written; a fixed list, so that no two releases of Python disagree about a genesis.
_UNSHOWN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A member's daemon: its id, its three public keys, and its part in the consortium."""

    peer: PeerId
    member: MemberId
    batch_key: bytes
    log_key: bytes
    cosigner_key: bytes
    voter: bool
    signer: bool
    address: str

    @property
    def keys(self) -> tuple[bytes, bytes, bytes]:
        """Its public keys: for batches, as log, as co-signer."""
        return self.batch_key, self.log_key, self.cosigner_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An organisation of the consortium. In a join request the sealed pseudonym key is empty."""

    member: MemberId
    display_name: str
    member_key: bytes
    sealing_key: bytes
    ca_certificate: bytes
    sealed_pseudonym_key: bytes
    peers: tuple[Peer, ...]


def make_peer(
    *,
    member: MemberId,
    batch_key: bytes,
    log_key: bytes,
    cosigner_key: bytes,
    voter: bool,
    signer: bool,
    address: str,
) -> Peer:
    """The peer with these public keys, its id derived from them, its parts checked.

    Raises:
        MalformedError: a key that verifies nothing, no host:port, or a voter that is no signer.
    """
    keys = (("batch_key", batch_key), ("log_key", log_key), ("cosigner_key", cosigner_key))
    for name, key in keys:
        _check_signing_key(key, field=f"peer.{name}")
    if voter and not signer:
        raise MalformedError("peer.signer", "expected every voter to be a signer")
    _check_address(address)
    return Peer(
        peer=derive_peer_id(batch_key=batch_key, log_key=log_key, cosigner_key=cosigner_key),
        member=member,
        batch_key=batch_key,
        log_key=log_key,
        cosigner_key=cosigner_key,
        voter=voter,
        signer=signer,
        address=address,
    )


def encode_member(member: Member) -> genesis_pb2.Member:
    """The message of a member, which `parse_member` reads back."""
    return genesis_pb2.Member(
        member=member.member,
        display_name=member.display_name,
        member_key=member.member_key,
        sealing_key=member.sealing_key,
        ca_certificate=member.ca_certificate,
        sealed_pseudonym_key=member.sealed_pseudonym_key,
        peers=[
            genesis_pb2.Peer(
                batch_key=peer.batch_key,
                log_key=peer.log_key,
                cosigner_key=peer.cosigner_key,
                voter=peer.voter,
                signer=peer.signer,
                address=peer.address,
            )
            for peer in member.peers
        ],
    )


def parse_member(message: genesis_pb2.Member, *, founded: bool) -> Member:
    """The member of a message; one that is founded has its sealed pseudonym key, others none.

    Raises:
        MalformedError: a field that is not as genesis.proto says.
    """
    member = parse_member_id(message.member)
    _check_display_name(message.display_name)
    _check_signing_key(message.member_key, field="member.member_key")
    check_length(message.sealing_key, SEALING_PUBLIC_KEY_BYTES, field="member.sealing_key")
    _check_certificate(message.ca_certificate)
    sealed_bytes = SEALED_KEY_BYTES if founded else 0
    check_length(message.sealed_pseudonym_key, sealed_bytes, field="member.sealed_pseudonym_key")
    if not 1 <= len(message.peers) <= MEMBER_PEERS_MAX:
        raise MalformedError("member.peers", f"expected 1 to {MEMBER_PEERS_MAX}")
    return Member(
        member=member,
        display_name=message.display_name,
        member_key=message.member_key,
        sealing_key=message.sealing_key,
        ca_certificate=message.ca_certificate,
        sealed_pseudonym_key=message.sealed_pseudonym_key,
        peers=tuple(_parse_peer(member, peer) for peer in message.peers),
    )


def _parse_peer(member: MemberId, message: genesis_pb2.Peer) -> Peer:
    return make_peer(
        member=member,
        batch_key=message.batch_key,
        log_key=message.log_key,
        cosigner_key=message.cosigner_key,
        voter=message.voter,
        signer=message.signer,
        address=message.address,
    )


def _check_signing_key(key: bytes, *, field: str) -> None:
    try:
        check_public_key(key)
    except VerificationError as error:
        raise MalformedError(field, f"expected an Ed25519 public key ({error})") from error


def _check_display_name(name: str) -> None:
    check_at_most(
        len(name.encode()), DISPLAY_NAME_BYTES_MAX, field="member.display_name", unit="bytes"
    )
    if not name.strip() or _UNSHOWN.search(name):
        raise MalformedError("member.display_name", "expected a name of visible characters")


def _check_certificate(certificate: bytes) -> None:
    check_at_most(
        len(certificate), CA_CERTIFICATE_BYTES_MAX, field="member.ca_certificate", unit="bytes"
    )
    if not certificate or certificate[0] != _DER_SEQUENCE:
        raise MalformedError("member.ca_certificate", "expected a certificate in DER")


def _check_address(address: str) -> None:
    match = _ADDRESS.fullmatch(address) if len(address) <= ADDRESS_LENGTH_MAX else None
    if match is None or int(match[1]) > PORT_MAX:
        raise MalformedError("peer.address", "expected host:port")
