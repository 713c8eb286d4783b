"""A member's certificate authority, and the certificates that it issues to peers and principals.

Everything is ECDSA over P-256 with SHA-256: gRPC's BoringSSL takes no Ed25519 certificate. Who is
named stands in one URI (SPIFFE): spiffe://<consortium>/<member>/peer/<16 hex digits> for a peer,
spiffe://<consortium>/<member>/principal/<name> for a principal. A peer's certificate serves for
both ends of a connection, a principal's for a client's alone.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from caretree.cli.errors import CommandError
from caretree.ledger.genesis import Genesis
from caretree.model.ids import MemberId, PeerId, show_peer_id
from caretree.node.identity import peer_server_name

AUTHORITY_DAYS: Final = 3653  # ten years
CERTIFICATE_DAYS: Final = 365
# A machine whose clock is a little behind must take a certificate that was just issued.
CLOCK_LEEWAY: Final = timedelta(minutes=5)

_CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH
_SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A member's certificate authority: its own certificate and the key that issues others."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    def certificate_der(self) -> bytes:
        """The certificate as the genesis holds it."""
        return self.certificate.public_bytes(Encoding.DER)

    def certificate_pem(self) -> bytes:
        """The certificate as TLS files hold it."""
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self) -> bytes:
        """The private key, for a root-only file and the recovery kit."""
        return encode_key(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate and its private key, PEM."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    expires: datetime


def create_authority(*, consortium: str, member: MemberId, now: datetime) -> Authority:
    """A new authority for a member, good for ten years; it issues leaf certificates only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(consortium, str(member))
    certificate = (
        _builder(key.public_key(), subject=name, issuer=name)
        .not_valid_before(now - CLOCK_LEEWAY)
        .not_valid_after(now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(issues=True), critical=True)
        .sign(key, SHA256())
    )
    return Authority(certificate=certificate, key=key)


def load_authority(*, certificate: x509.Certificate, key_pem: bytes) -> Authority:
    """The authority of a certificate and its key.

    Raises:
        CommandError: the key is none, or another certificate's.
    """
    key = _load_key(key_pem)
    if key.public_key() != certificate.public_key():
        raise CommandError(
            "the certificate authority's key does not belong to its certificate",
            next_step="Restore both from where they were made.",
        )
    return Authority(certificate=certificate, key=key)


def check_authorities(genesis: Genesis) -> None:
    """Return when every member's certificate authority can be used.

    The genesis itself only says that it begins as a certificate does: what else is one may differ
    between releases of a library. One that is none would keep every peer from starting.

    Raises:
        CommandError: one is none; names its member.
    """
    for member in genesis.members:
        try:
            x509.load_der_x509_certificate(member.ca_certificate).public_key()
        except (x509.InvalidVersion, ValueError, UnsupportedAlgorithm) as error:
            raise CommandError(
                f"the certificate authority of {member.member} is no certificate",
                next_step=f"Ask {member.member} for a new join request, and found anew.",
            ) from error


def issue_peer(
    authority: Authority,
    *,
    consortium: str,
    member: MemberId,
    peer: PeerId,
    now: datetime,
    key_pem: bytes | None,
) -> Issued:
    """A peer's certificate for a year; under `key_pem`, or under a new key without it.

    Raises:
        CommandError: the authority has ended, or the key is none.
    """
    uri = f"spiffe://{consortium}/{member}/peer/{show_peer_id(peer)}"
    server_name = peer_server_name(consortium=consortium, member=member, peer=peer)
    return _issue(
        authority,
        subject=_name(consortium, f"peer {show_peer_id(peer)}"),
        names=[x509.UniformResourceIdentifier(uri), x509.DNSName(server_name)],
        usages=[_SERVER, _CLIENT],
        now=now,
        key_pem=key_pem,
    )


def issue_principal(
    authority: Authority,
    *,
    consortium: str,
    member: MemberId,
    principal: str,
    now: datetime,
    key_pem: bytes | None,
) -> Issued:
    """A principal's certificate for a year; under `key_pem`, or under a new key without it.

    Raises:
        CommandError: the authority has ended, or the key is none.
    """
    uri = f"spiffe://{consortium}/{member}/principal/{principal}"
    return _issue(
        authority,
        subject=_name(consortium, f"principal {principal}"),
        names=[x509.UniformResourceIdentifier(uri)],
        usages=[_CLIENT],
        now=now,
        key_pem=key_pem,
    )


def encode_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as PKCS #8 in PEM, in the clear: only for files of their owner alone."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _issue(
    authority: Authority,
    *,
    subject: x509.Name,
    names: list[x509.GeneralName],
    usages: list[x509.ObjectIdentifier],
    now: datetime,
    key_pem: bytes | None,
) -> Issued:
    ends = authority.certificate.not_valid_after_utc
    if ends <= now:
        raise CommandError(
            "the member's certificate authority has expired",
            next_step="The consortium has to name a new one.",
        )
    key = ec.generate_private_key(ec.SECP256R1()) if key_pem is None else _load_key(key_pem)
    expires = min(now + timedelta(days=CERTIFICATE_DAYS), ends)
    issuer_key = authority.key.public_key()
    certificate = (
        _builder(key.public_key(), subject=subject, issuer=authority.certificate.subject)
        .not_valid_before(now - CLOCK_LEEWAY)
        .not_valid_after(expires)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(issues=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False
        )
        .sign(authority.key, SHA256())
    )
    return Issued(
        certificate_pem=certificate.public_bytes(Encoding.PEM),
        key_pem=encode_key(key),
        expires=certificate.not_valid_after_utc,
    )


def _builder(
    public_key: ec.EllipticCurvePublicKey, *, subject: x509.Name, issuer: x509.Name
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _name(consortium: str, common: str) -> x509.Name:
    # With a space in it no holder's name is ever its issuer's, as if it had issued itself.
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, consortium),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _usage(*, issues: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not issues,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=issues,
        crl_sign=issues,
        encipher_only=False,
        decipher_only=False,
    )


def _load_key(key_pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # a TypeError: it has a passphrase
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CommandError(
            "expected an ECDSA private key in PEM",
            next_step="Restore the key from where it was made.",
        )
    return key
