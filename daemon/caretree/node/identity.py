"""Who is at the other end of a TLS connection, and the credentials that make it say so.

Every member has a certificate authority of its own, listed in the genesis. TLS trusts them all;
here it is checked that a certificate was issued by the authority of the very member it names, so
that one member's authority cannot speak for another.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from caretree.config.values import TlsFiles
from caretree.ledger.genesis import Genesis
from caretree.model.errors import MalformedError
from caretree.model.ids import (
    MemberId,
    PeerId,
    parse_member_id,
    parse_name,
    parse_peer_id,
    show_peer_id,
)
from caretree.model.reasons import CallError, Reason
from caretree.telemetry.logs import Logger
from caretree.telemetry.metrics import ReloadedFile

_TLS_VERSION: Final = b"TLSv1.3"
_BAD_EXTENSIONS: Final = (
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
)
_URI_PARTS: Final = 6  # "spiffe:", "", consortium, member, kind, name


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipalIdentity:
    """A person or system of a member."""

    member: MemberId
    principal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerIdentity:
    """A member's daemon."""

    member: MemberId
    peer: PeerId


Identity = PrincipalIdentity | PeerIdentity


class ReloadRecorder(Protocol):
    """Counts what could not be read again (`telemetry.metrics.Metrics`)."""

    def reload_failed(self, file: ReloadedFile, /) -> None:
        """A changed file could not be taken into use."""
        ...


def shown_certificate(auth_context: Mapping[str, Iterable[bytes]]) -> x509.Certificate:
    """The certificate that a connection was made with, by gRPC's auth context.

    Raises:
        CallError: NO_CERTIFICATE: there is none, or the connection is of an older TLS.
    """
    version = next(iter(auth_context.get("ssl_tls_version", ())), b"")
    pem = next(iter(auth_context.get("x509_pem_cert", ())), None)
    if pem is None or version != _TLS_VERSION:
        raise CallError(Reason.NO_CERTIFICATE)
    try:
        return x509.load_pem_x509_certificate(pem)
    except (x509.InvalidVersion, ValueError) as error:
        raise CallError(Reason.NO_CERTIFICATE) from error


def identity_of(certificate: x509.Certificate, genesis: Genesis) -> Identity:
    """Whom a certificate names, once its member's own authority is found to have issued it.

    Raises:
        CallError: NO_CERTIFICATE: another consortium, another authority, or no such name.
    """
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        uris = extension.value.get_values_for_type(x509.UniformResourceIdentifier)
        if len(uris) != 1:
            raise CallError(Reason.NO_CERTIFICATE)
        identity = _parse_uri(uris[0], genesis.consortium)
    except (*_BAD_EXTENSIONS, ValueError, MalformedError) as error:
        raise CallError(Reason.NO_CERTIFICATE) from error
    _check_issuer(certificate, identity.member, genesis)
    return identity


def _parse_uri(uri: str, consortium: str) -> Identity:
    parts = uri.split("/")
    if len(parts) != _URI_PARTS or parts[:3] != ["spiffe:", "", consortium]:
        raise MalformedError("certificate", "expected a SPIFFE id of this consortium")
    member, kind, name = parse_member_id(parts[3]), parts[4], parts[5]
    if kind == "peer":
        return PeerIdentity(member=member, peer=parse_peer_id(name))
    if kind == "principal":
        return PrincipalIdentity(member=member, principal=parse_name(name, field="principal"))
    raise MalformedError("certificate", "expected a peer or a principal")


def _check_issuer(certificate: x509.Certificate, member: MemberId, genesis: Genesis) -> None:
    founded = genesis.member(member)
    if founded is None:
        raise CallError(Reason.NO_CERTIFICATE)
    try:
        authority = x509.load_der_x509_certificate(founded.ca_certificate)
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise CallError(Reason.NO_CERTIFICATE) from error


def peer_server_name(*, consortium: str, member: MemberId, peer: PeerId) -> str:
    """The DNS name in a peer's certificate, by which its callers know its server."""
    return f"{show_peer_id(peer)}.{member}.{consortium}"


def server_name(genesis: Genesis, peer: PeerId) -> str:
    """The DNS name of a founded peer."""
    known = genesis.peer(peer)
    assert known is not None
    return peer_server_name(consortium=genesis.consortium, member=known.member, peer=peer)


def trusted_authorities(genesis: Genesis) -> bytes:
    """All members' certificate authorities, PEM."""
    return b"".join(
        x509.load_der_x509_certificate(member.ca_certificate).public_bytes(Encoding.PEM)
        for member in genesis.members
    )


def server_credentials(
    tls: TlsFiles, genesis: Genesis, *, metrics: ReloadRecorder, log: Logger
) -> grpc.ServerCredentials:
    """Credentials of mutual TLS; the files are read again when they change.

    Files that do not fit together, or are another peer's, leave those before in use: a new pair is
    put in place file by file, and handshakes go on meanwhile.

    Raises:
        OSError: the files cannot be read.
        ValueError: they are no certificate and its key.
        CallError: NO_CERTIFICATE: no peer's of this consortium.
    """
    authorities = trusted_authorities(genesis)

    def configured(pair: tuple[bytes, bytes]) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=authorities)

    stamp = _stamp(tls)
    first = _read_pair(tls)
    initial, own = configured(first), _named_in(first, genesis)

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        # gRPC's core replaces its handshaker by every configuration that it is given, and does so
        # while other handshakes may be using it: given one at each handshake, 1.85 crashed now and
        # then. None keeps what is in use.
        nonlocal stamp
        found = _stamp(tls)
        if found == stamp:
            return None
        stamp = found
        try:
            renewed = _read_pair(tls)
            if _named_in(renewed, genesis) != own:
                raise ValueError("the certificate is another's")
            return configured(renewed)
        except (OSError, ValueError, CallError) as error:
            metrics.reload_failed(ReloadedFile.CERTIFICATE)
            # No traceback: what a parser quotes may be of the key.
            log.warning("certificate not taken, the one before is shown", why=type(error).__name__)
            return None

    return grpc.dynamic_ssl_server_credentials(
        initial,
        fetch,  # type: ignore[arg-type]  # the stubs do not know of None
        require_client_authentication=True,
    )


def _read_pair(tls: TlsFiles) -> tuple[bytes, bytes]:
    """Key and certificate as gRPC takes them, once they are found to belong together."""
    key_pem, certificate_pem = tls.peer_key.read_bytes(), tls.peer_certificate.read_bytes()
    try:
        key = load_pem_private_key(key_pem, password=None).public_key()
        named = x509.load_pem_x509_certificate(certificate_pem).public_key()
    except (TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise ValueError("no certificate, or a key of no use here") from error
    if key != named:
        raise ValueError("the key is another certificate's")
    return key_pem, certificate_pem


def _named_in(pair: tuple[bytes, bytes], genesis: Genesis) -> Identity:
    return identity_of(x509.load_pem_x509_certificate(pair[1]), genesis)


def _stamp(tls: TlsFiles) -> tuple[int, ...] | None:
    try:
        facts = [path.stat() for path in (tls.peer_certificate, tls.peer_key)]
    except OSError:
        return None  # one is being replaced; reading them says so
    # The time of the last change of rights too: who could not read a file may read it then.
    return tuple(
        value
        for fact in facts
        for value in (fact.st_mtime_ns, fact.st_ctime_ns, fact.st_size, fact.st_ino)
    )


def channel_credentials(
    tls: TlsFiles, genesis: Genesis, member: MemberId
) -> grpc.ChannelCredentials:
    """Credentials to call a peer of `member`: its authority alone is trusted.

    Raises:
        OSError: the files cannot be read.
    """
    founded = genesis.member(member)
    assert founded is not None
    authority = x509.load_der_x509_certificate(founded.ca_certificate)
    return grpc.ssl_channel_credentials(
        root_certificates=authority.public_bytes(Encoding.PEM),
        private_key=tls.peer_key.read_bytes(),
        certificate_chain=tls.peer_certificate.read_bytes(),
    )
