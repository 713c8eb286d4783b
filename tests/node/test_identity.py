"""Whom a connection names: a member's own authority vouches for its own people and peers, alone."""

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

import pytest
from caretree.cli.certificates import Authority, create_authority, issue_peer, issue_principal
from caretree.ledger.genesis import Genesis
from caretree.model.ids import MemberId, PeerId, show_peer_id
from caretree.model.reasons import CallError, Reason
from caretree.node.admission import Admission, AuthContext
from caretree.node.deny_list import DenyList
from caretree.node.identity import (
    Identity,
    PeerIdentity,
    PrincipalIdentity,
    server_name,
    trusted_authorities,
)
from caretree.telemetry.logs import build_logger
from caretree.telemetry.metrics import Metrics
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry

from tests.ledger.builders import CONSORTIUM, HOSPITAL, OFFICE, TOWN, found, founder

NOW: Final = datetime(2026, 6, 1, 12, tzinfo=UTC)
PEER: Final = founder(TOWN).peer.peer
MEMBERS: Final = (TOWN, HOSPITAL, OFFICE)
URI: Final = f"spiffe://{CONSORTIUM}/town/principal/his"


@cache
def authorities() -> dict[MemberId, Authority]:
    return {
        member: create_authority(consortium=CONSORTIUM, member=member, now=NOW - timedelta(days=1))
        for member in MEMBERS
    }


@cache
def genesis() -> Genesis:
    return found(
        [
            replace(founder(member), ca_certificate=authorities()[member].certificate_der())
            for member in MEMBERS
        ]
    ).genesis


def context(pem: bytes, *, tls: bytes = b"TLSv1.3") -> dict[str, list[bytes]]:
    return {"x509_pem_cert": [pem], "ssl_tls_version": [tls]}


def principal_pem(*, member: MemberId = TOWN, by: MemberId = TOWN, name: str = "his") -> bytes:
    return issue_principal(
        authorities()[by],
        consortium=CONSORTIUM,
        member=member,
        principal=name,
        now=NOW,
        key_pem=None,
    ).certificate_pem


def peer_pem(*, member: MemberId = TOWN, by: MemberId = TOWN) -> bytes:
    return issue_peer(
        authorities()[by], consortium=CONSORTIUM, member=member, peer=PEER, now=NOW, key_pem=None
    ).certificate_pem


def pem_with(names: Sequence[x509.GeneralName] | None, *, by: Authority | None = None) -> bytes:
    """A certificate by the town's authority with exactly these alternative names."""
    authority = by or authorities()[TOWN]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anyone")]))
        .issuer_name(authority.certificate.subject)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(hours=1))
        .not_valid_after(NOW + timedelta(hours=1))
    )
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(authority.key, SHA256()).public_bytes(Encoding.PEM)


def uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


def authenticate(auth: AuthContext, genesis: Genesis, *, now: datetime) -> Identity:
    """Whom the connection's certificate names, for whoever has not seen it before."""
    nobody = DenyList(
        None, metrics=Metrics(CollectorRegistry()), log=build_logger(lambda _: None, level="error")
    )
    return Admission(genesis, nobody, now=lambda: now).examine(auth).identity


@contextmanager
def refused(reason: Reason = Reason.NO_CERTIFICATE) -> Iterator[None]:
    with pytest.raises(CallError) as caught:
        yield
    assert caught.value.reason is reason


def test_a_principal_and_a_peer_are_told_apart() -> None:
    named = authenticate(context(principal_pem()), genesis(), now=NOW)
    assert named == PrincipalIdentity(member=TOWN, principal="his")
    peer = authenticate(context(peer_pem()), genesis(), now=NOW)
    assert peer == PeerIdentity(member=TOWN, peer=PEER)


@pytest.mark.parametrize("by", [HOSPITAL, OFFICE])
def test_another_members_authority_vouches_for_nobody_here(by: MemberId) -> None:
    for pem in (principal_pem(by=by), peer_pem(by=by)):
        with refused():
            authenticate(context(pem), genesis(), now=NOW)


def test_an_authority_of_the_same_name_with_another_key_vouches_for_nobody() -> None:
    impostor = create_authority(consortium=CONSORTIUM, member=TOWN, now=NOW)
    with refused():
        authenticate(context(pem_with([uri(URI)], by=impostor)), genesis(), now=NOW)


def test_a_certificate_counts_from_its_first_to_its_last_moment() -> None:
    pem = principal_pem()
    certificate = x509.load_pem_x509_certificate(pem)
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    for moment in (first, last):
        authenticate(context(pem), genesis(), now=moment)
    second = timedelta(seconds=1)
    for moment in (first - second, last + second):
        with refused(Reason.CERTIFICATE_EXPIRED):
            authenticate(context(pem), genesis(), now=moment)


def test_without_a_certificate_nobody_is_named() -> None:
    with refused():
        authenticate({"ssl_tls_version": [b"TLSv1.3"]}, genesis(), now=NOW)
    with refused():
        authenticate(context(b"no certificate"), genesis(), now=NOW)


def test_an_older_tls_names_nobody() -> None:
    with refused():
        authenticate(context(principal_pem(), tls=b"TLSv1.2"), genesis(), now=NOW)


def test_the_name_stands_in_the_certificate_that_tls_checked_first() -> None:
    both = context(principal_pem())
    both["x509_pem_cert"].append(principal_pem(name="another"))
    named = authenticate(both, genesis(), now=NOW)
    assert named == PrincipalIdentity(member=TOWN, principal="his")


@pytest.mark.parametrize(
    "names",
    [
        None,
        [x509.DNSName("town.example")],
        [uri(URI), uri(f"spiffe://{CONSORTIUM}/town/principal/other")],
        [uri(URI), uri(URI)],
    ],
)
def test_a_certificate_that_does_not_name_exactly_one_uri_names_nobody(
    names: Sequence[x509.GeneralName] | None,
) -> None:
    with refused():
        authenticate(context(pem_with(names)), genesis(), now=NOW)


@pytest.mark.parametrize(
    "name",
    [
        "spiffe://other.example/town/principal/his",
        f"spiffe://{CONSORTIUM}/nobody/principal/his",
        f"spiffe://{CONSORTIUM}/town/robot/his",
        f"spiffe://{CONSORTIUM}/town/principal",
        f"spiffe://{CONSORTIUM}/town/principal/",
        f"spiffe://{CONSORTIUM}/town/principal/his/more",
        f"spiffe://{CONSORTIUM}/town/peer/{show_peer_id(PEER)[:-1]}",
        f"spiffe://{CONSORTIUM}/town/peer/{show_peer_id(PEER).upper()}",
        f"spiffe://{CONSORTIUM}/town/peer/his",
        f"spiffe://{CONSORTIUM}//principal/his",
        f"spiffe://{CONSORTIUM}/TOWN/principal/his",
        f"https://{CONSORTIUM}/town/principal/his",
        f"SPIFFE://{CONSORTIUM}/town/principal/his",
    ],
)
def test_a_uri_written_in_any_other_way_names_nobody(name: str) -> None:
    authenticate(context(pem_with([uri(URI)])), genesis(), now=NOW)
    with refused():
        authenticate(context(pem_with([uri(name)])), genesis(), now=NOW)


def test_other_names_beside_the_uri_do_not_matter() -> None:
    pem = pem_with([x509.DNSName("hospital.example"), uri(URI)])
    named = authenticate(context(pem), genesis(), now=NOW)
    assert named == PrincipalIdentity(member=TOWN, principal="his")


def test_a_server_is_known_by_the_name_in_its_certificate() -> None:
    certificate = x509.load_pem_x509_certificate(peer_pem())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [server_name(genesis(), PeerId(PEER))]


def test_every_members_authority_is_trusted_to_speak_for_its_own() -> None:
    trusted = x509.load_pem_x509_certificates(trusted_authorities(genesis()))
    assert trusted == [authorities()[member].certificate for member in MEMBERS]


@pytest.mark.parametrize(
    ("made", "changed"),
    # The version's number; the object id of the basic constraints, to that of alternative names.
    [("a003020102", "a00302012f"), ("0603551d13", "0603551d11")],
    ids=["of no known version", "with an extension twice"],
)
def test_a_certificate_that_no_authority_makes_is_refused(made: str, changed: str) -> None:
    der = x509.load_pem_x509_certificate(principal_pem()).public_bytes(Encoding.DER)
    assert der.count(bytes.fromhex(made)) == 1
    body = base64.encodebytes(der.replace(bytes.fromhex(made), bytes.fromhex(changed)))
    pem = b"-----BEGIN CERTIFICATE-----\n%b-----END CERTIFICATE-----\n" % body
    with refused():
        authenticate(context(pem), genesis(), now=NOW)
