"""Certificate authorities of members, and certificates of peers and principals, for tests."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from caretree.model.ids import PeerId, show_peer_id
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME: Final = timedelta(days=30)
_YESTERDAY: Final = timedelta(days=-1)
_USAGE: Final = x509.ExtendedKeyUsage(
    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A member's certificate authority."""

    consortium: str
    member: str
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        """The certificate, as a genesis holds it."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        """The certificate, as TLS libraries want it."""
        return self.certificate.public_bytes(Encoding.PEM)

    def issue_principal(self, name: str, *, member: str | None = None) -> KeyPair:
        """A principal's certificate; with `member`, one that names another member's principal."""
        uri = f"spiffe://{self.consortium}/{member or self.member}/principal/{name}"
        return self.issue(uris=[uri])

    def issue_peer(self, peer: PeerId) -> KeyPair:
        """A peer's certificate, good for this machine too."""
        shown = show_peer_id(peer)
        return self.issue(
            uris=[f"spiffe://{self.consortium}/{self.member}/peer/{shown}"],
            names=[f"{shown}.{self.member}.{self.consortium}", "localhost"],
        )

    def issue(
        self,
        *,
        uris: Sequence[str],
        names: Sequence[str] = (),
        lifetime: timedelta = _LIFETIME,
        begins: timedelta = _YESTERDAY,
    ) -> KeyPair:
        """A certificate with these names, valid from then on, counted from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives: list[x509.GeneralName] = [x509.UniformResourceIdentifier(u) for u in uris]
        alternatives += [x509.DNSName(name) for name in names]
        if names:
            alternatives.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        certificate = (
            _builder("caretree", self.certificate.subject, key, lifetime, begins=begins)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(_USAGE, critical=False)
            .sign(self.key, SHA256())
        )
        return _pair(certificate, key)


def self_signed(*, uri: str) -> KeyPair:
    """A certificate that nobody but its holder vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    certificate = (
        _builder("caretree", _name("caretree"), key, _LIFETIME)
        .add_extension(names, critical=False)
        .sign(key, SHA256())
    )
    return _pair(certificate, key)


def make_authority(consortium: str, member: str) -> Authority:
    """A new authority for a member."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(f"{member} authority")
    certificate = (
        _builder(f"{member} authority", subject, key, _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    return Authority(consortium=consortium, member=member, certificate=certificate, key=key)


def _builder(
    subject: str,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    lifetime: timedelta,
    *,
    begins: timedelta = _YESTERDAY,
) -> x509.CertificateBuilder:
    since = datetime.now(UTC) + begins
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(since + lifetime)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    return KeyPair(
        certificate=certificate.public_bytes(Encoding.PEM),
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
