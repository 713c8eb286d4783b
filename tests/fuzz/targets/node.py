"""What other peers say, and whom a certificate names."""

import asyncio
import base64
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Final

from caretree.cli.certificates import check_authorities, encode_key, load_authority
from caretree.cli.errors import CommandError
from caretree.cli.start_files import check_certificate
from caretree.config.values import TlsFiles
from caretree.ledger.batches import parse_batch
from caretree.ledger.blocks import parse_block, parse_block_ref
from caretree.ledger.genesis import Genesis
from caretree.ledger.holding import never_held
from caretree.ledger.rows import parse_outcomes
from caretree.merkle.lines import format_line, parse_line
from caretree.model.errors import FatalError, MalformedError, RejectedError
from caretree.model.ids import LogIndex, PeerId, Term, show_peer_id
from caretree.model.reasons import CallError
from caretree.node.identity import PrincipalIdentity, identity_of, shown_certificate
from caretree.node.inbound import Inbound
from caretree.node.peer_codec import decode_raft, encode_raft
from caretree.node.pool import HeldBatch
from caretree.node.transport import LostMessageError
from caretree.proto.peer.v1 import peer_pb2
from caretree.raft.messages import ConfState, MessageType, SnapshotMeta
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtensionOID, NameOID
from google.protobuf.message import DecodeError

from tests.fuzz.target import Shape, Target
from tests.fuzz.targets.files import written
from tests.fuzz.targets.ledger import held_block, sample_batch
from tests.ledger.builders import CONSORTIUM, HOSPITAL, TOWN, found, founder
from tests.ledger.samples import history
from tests.node.test_inbound import LEADER, Door
from tests.raft import builders as raft
from tests.raft.builders import Driven

_URI: Final = f"spiffe://{CONSORTIUM}/town/principal/his"
_PEER: Final = founder(TOWN).peer.peer
_PEER_URI: Final = f"spiffe://{CONSORTIUM}/town/peer/{show_peer_id(_PEER)}"
_NOW: Final = datetime(2030, 1, 1, tzinfo=UTC)
_HIS: Final = PrincipalIdentity(member=TOWN, principal="his")
_SENDER: Final = PeerId(2)
_AUTHORITY: Final = ec.derive_private_key(7, ec.SECP256R1())
_LEAF: Final = ec.derive_private_key(11, ec.SECP256R1())
_LOCKED_KEY: Final = _LEAF.private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
)
_PEM_WORDS: Final = (
    _LOCKED_KEY,
    b"-----BEGIN CERTIFICATE-----\n",
    b"-----BEGIN PRIVATE KEY-----\n",
    b"-----BEGIN RSA PRIVATE KEY-----\n",
    b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
    b"Proc-Type: 4,ENCRYPTED\n",
)
_SINCE, _UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)


def _run_peer_frame(data: bytes) -> None:
    """What a voter sends to a peer that has applied block 0."""
    request = peer_pb2.DeliverRequest.FromString(data)
    inbound = Inbound(replace(Door().inbound._parts, batches=_Batches()))
    asyncio.run(inbound.receive(LEADER, request))


class _Batches:
    """Takes whatever is said of batches, and has made none."""

    held = staticmethod(never_held)

    def offered(self, sender: PeerId, held: HeldBatch) -> None:
        assert sender == LEADER
        assert held.entries

    def refused(self, sender: PeerId, signature: bytes, *, retry_after_ms: int) -> None:
        assert sender == LEADER
        assert isinstance(signature, bytes)
        assert 0 <= retry_after_ms < 2**32


def _run_raft(data: bytes) -> None:
    """A message to a peer in each of the roles, and all that follows from it."""
    message = decode_raft(peer_pb2.RaftMessage.FromString(data), sender=_SENDER)
    again = peer_pb2.RaftMessage.FromString(encode_raft(message).SerializeToString())
    assert decode_raft(again, sender=_SENDER) == message
    refused: RejectedError | FatalError | None = None
    for driven in _roles():
        try:
            driven.step(message)
            driven.tick(1)
        except (RejectedError, FatalError) as error:
            refused = error
    if refused is not None:
        raise refused


def _roles() -> Iterator[Driven]:
    log = raft.log_of(1, 1, 2)
    yield raft.make(log=log, term=2, commit=2)
    candidate = raft.make(log=log, term=2, commit=2)
    candidate.node.campaign()
    candidate.settle()
    yield candidate
    leader = raft.make(log=log, term=2, commit=2)
    raft.elect(leader)
    raft.propose(leader)
    leader.node.read_index(b"context")
    yield leader


def _run_certificate(data: bytes) -> None:
    """A certificate in PEM, or in DER that is put into PEM, on a connection of TLS 1.3."""
    pem = data
    if not data.startswith(b"-----"):
        pem = (
            b"-----BEGIN CERTIFICATE-----\n"
            + base64.encodebytes(data)
            + b"-----END CERTIFICATE-----\n"
        )
    context = {"x509_pem_cert": [pem], "ssl_tls_version": [b"TLSv1.3"]}
    with warnings.catch_warnings():
        # What the library takes today and says that it will refuse one day.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        identity = identity_of(shown_certificate(context), genesis())
    assert identity == _HIS


def _run_names(data: bytes) -> None:
    """A certificate that the town's authority issued, with these bytes as alternative names."""
    certificate = _builder("his").add_extension(
        x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, data), critical=False
    )
    identity = identity_of(certificate.sign(_AUTHORITY, SHA256()), genesis())
    assert identity.member == TOWN


def _run_certificate_file(data: bytes) -> None:
    """The file of the town's peer's certificate, or after a zero that of its key, at a start."""
    good = _peer_certificate().public_bytes(Encoding.PEM), encode_key(_LEAF)
    certificate, key = (good[0], data[1:]) if data.startswith(b"\0") else (data, good[1])
    tls = TlsFiles(
        peer_certificate=written(certificate, "peer.pem"), peer_key=written(key, "peer.key")
    )
    tls.peer_key.chmod(0o600)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        assert check_certificate(tls, genesis(), member=TOWN, peer=_PEER, now=_NOW)


def _run_authority_key(data: bytes) -> None:
    load_authority(certificate=_authority(), key_pem=data)


def _run_authority(data: bytes) -> None:
    """A member's certificate authority out of a genesis, as the ceremony looks at it."""
    members = [replace(genesis().members[0], ca_certificate=data)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        check_authorities(replace(genesis(), members=tuple(members)))


@cache
def genesis() -> Genesis:
    """A genesis in which the town's authority is one of a fixed key."""
    der = _authority().public_bytes(Encoding.DER)
    return found([replace(founder(TOWN), ca_certificate=der), founder(HOSPITAL)]).genesis


@cache
def _authority() -> x509.Certificate:
    return _builder("town authority", authority=True).sign(_AUTHORITY, SHA256())


@cache
def _peer_certificate() -> x509.Certificate:
    uri = x509.UniformResourceIdentifier(_PEER_URI)
    names = x509.SubjectAlternativeName([uri])
    return _builder("peer").add_extension(names, critical=False).sign(_AUTHORITY, SHA256())


def _certificate_files() -> Iterator[bytes]:
    yield _peer_certificate().public_bytes(Encoding.PEM)
    yield b"\0" + encode_key(_LEAF)


def _builder(name: str, *, authority: bool = False) -> x509.CertificateBuilder:
    key = _AUTHORITY if authority else _LEAF
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "town authority")]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(_SINCE)
        .not_valid_after(_UNTIL)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )


def _certificates() -> Iterator[bytes]:
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(_URI)])
    good = _builder("his").add_extension(names, critical=False).sign(_AUTHORITY, SHA256())
    yield good.public_bytes(Encoding.DER)
    yield good.public_bytes(Encoding.PEM)


def _names() -> Iterator[bytes]:
    for name in (_URI, f"spiffe://{CONSORTIUM}/town/peer/00000000000000aa"):
        uri = x509.UniformResourceIdentifier(name)
        yield x509.SubjectAlternativeName([uri, x509.DNSName("localhost")]).public_bytes()


def _frames() -> Iterator[bytes]:
    block = held_block()
    append = raft.append(sender=LEADER, to=raft.CONFIG.peer, term=1, entries=[raft.entry(1, 1)])
    note = history().certificate(TOWN, HOSPITAL)
    said = (
        peer_pb2.PeerMessage(block=peer_pb2.BlockBytes(block=block.encoded)),
        peer_pb2.PeerMessage(raft=encode_raft(append)),
        peer_pb2.PeerMessage(batch=peer_pb2.BatchBytes(batch=block.batches[0].encoded)),
        peer_pb2.PeerMessage(
            batch_refused=peer_pb2.BatchRefused(
                signature=sample_batch().signature, retry_after_ms=500
            )
        ),
        peer_pb2.PeerMessage(
            signatures=peer_pb2.Signatures(
                tree_size=note.checkpoint.size,
                root=note.checkpoint.root,
                lines=[format_line(line.line).removesuffix("\n") for line in note.lines],
            )
        ),
    )
    for message in said:
        yield peer_pb2.DeliverRequest(clock_ms=1, messages=[message]).SerializeToString()
    yield peer_pb2.DeliverRequest(clock_ms=1, messages=said).SerializeToString()


def _raft_messages() -> Iterator[bytes]:
    snapshot = SnapshotMeta(
        index=LogIndex(9),
        term=Term(2),
        conf_state=ConfState(voters=(PeerId(1), PeerId(2), PeerId(3))),
        data=b"",
    )
    entries = [raft.entry(4, 3, b"data"), raft.entry(5, 3)]
    messages = [raft.append(term=3, index=3, log_term=2, commit=3, entries=entries)]
    for kind in MessageType:
        message = raft.message(kind, term=3, index=3, log_term=2)
        messages.append(replace(message, snapshot=snapshot if kind is MessageType.SNAP else None))
    for message in messages:
        yield encode_raft(message).SerializeToString()


TARGETS: Final = (
    Target(
        name="peer-frame",
        run=_run_peer_frame,
        errors=(DecodeError, LostMessageError),
        seeds=_frames,
        covers=(decode_raft, parse_batch, parse_block, parse_block_ref, parse_line, parse_outcomes),
        shape=Shape.PROTO,
        may_show=(LostMessageError,),
    ),
    Target(
        name="raft-message",
        run=_run_raft,
        errors=(DecodeError, MalformedError, RejectedError, FatalError),
        seeds=_raft_messages,
        covers=(decode_raft,),
        shape=Shape.PROTO,
    ),
    Target(
        name="certificate",
        run=_run_certificate,
        errors=(CallError,),
        seeds=_certificates,
        covers=(identity_of, shown_certificate),
        words=(
            b"spiffe://",
            CONSORTIUM.encode(),
            b"/principal/",
            b"/peer/",
            b"\x06\x03\x55\x1d\x11",
        ),
    ),
    Target(
        name="certificate-names",
        run=_run_names,
        errors=(CallError,),
        seeds=_names,
        covers=(identity_of,),
        words=(b"spiffe://", CONSORTIUM.encode(), b"/principal/", b"/peer/", b"\x86", b"\xa0"),
    ),
    Target(
        name="certificate-file",
        run=_run_certificate_file,
        errors=(CommandError,),
        seeds=_certificate_files,
        covers=(check_certificate,),
        shape=Shape.TEXT,
        words=_PEM_WORDS,
    ),
    Target(
        name="authority-key",
        run=_run_authority_key,
        errors=(CommandError,),
        seeds=lambda: [encode_key(_AUTHORITY)],
        covers=(load_authority,),
        shape=Shape.TEXT,
        words=_PEM_WORDS,
    ),
    Target(
        name="authority-certificate",
        run=_run_authority,
        errors=(CommandError,),
        seeds=lambda: [_authority().public_bytes(Encoding.DER)],
        covers=(check_authorities,),
    ),
)
