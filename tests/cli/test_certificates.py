import itertools
from datetime import UTC, datetime, timedelta

import pytest
from caretree.cli.certificates import (
    Authority,
    Issued,
    create_authority,
    issue_peer,
    issue_principal,
    load_authority,
)
from caretree.cli.errors import CommandError
from caretree.cli.home import Home
from caretree.model.ids import MemberId, PeerId
from caretree.model.reasons import CallError
from caretree.node.identity import (
    PeerIdentity,
    PrincipalIdentity,
    identity_of,
    peer_server_name,
    server_name,
)
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store

from tests.cli.commands import MEMBERS, TOWN
from tests.cli.conftest import Founding

CITY = "city.example"
MEMBER = MemberId("town")
PEER = PeerId(0xAA)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_an_authority_is_good_for_ten_years_and_for_nothing_but_issuing() -> None:
    certificate = _authority().certificate

    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert basic.critical
    assert basic.value.ca
    assert basic.value.path_length == 0
    assert usage.key_cert_sign
    assert not usage.digital_signature
    assert timedelta(days=3652) < certificate.not_valid_after_utc - NOW <= timedelta(days=3653)
    certificate.verify_directly_issued_by(certificate)


def test_a_peers_certificate_names_it_and_serves_both_ends() -> None:
    authority = _authority()
    certificate = _parsed(_peer(authority))

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        "spiffe://city.example/town/peer/00000000000000aa"
    ]
    assert names.get_values_for_type(x509.DNSName) == ["00000000000000aa.town.city.example"]
    assert set(usages) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert certificate.not_valid_before_utc < NOW
    assert certificate.not_valid_after_utc == NOW + timedelta(days=365)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    certificate.verify_directly_issued_by(authority.certificate)


def test_a_principals_certificate_names_it_and_serves_a_client_alone() -> None:
    authority = _authority()
    certificate = _parsed(_principal(authority))

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [name.value for name in names] == ["spiffe://city.example/town/principal/records"]
    assert list(usages) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate.verify_directly_issued_by(authority.certificate)


def test_another_verifier_accepts_the_chain_for_the_right_host_name() -> None:
    authority = _authority()
    leaf = _parsed(_peer(authority))
    policy = PolicyBuilder().store(Store([authority.certificate])).time(NOW)

    chain = policy.build_server_verifier(
        x509.DNSName(peer_server_name(consortium=CITY, member=MEMBER, peer=PEER))
    ).verify(leaf, [])

    assert chain == [leaf, authority.certificate]


def test_a_holder_is_never_named_like_its_issuer() -> None:
    authority = _authority()
    issued = issue_principal(
        authority, consortium=CITY, member=MEMBER, principal="town", now=NOW, key_pem=None
    )

    assert _parsed(issued).subject != authority.certificate.subject


def test_one_members_authority_issues_nothing_for_another() -> None:
    certificate = _parsed(_peer(_authority()))

    with pytest.raises((InvalidSignature, ValueError)):
        certificate.verify_directly_issued_by(_authority().certificate)


def test_a_renewed_certificate_keeps_its_key_or_gets_a_new_one() -> None:
    authority = _authority()
    first = _peer(authority)

    kept, fresh = _peer(authority, key_pem=first.key_pem), _peer(authority)

    assert kept.key_pem == first.key_pem
    assert fresh.key_pem != first.key_pem
    assert _parsed(kept).public_key() == _parsed(first).public_key()
    assert _parsed(kept).serial_number != _parsed(first).serial_number


def test_no_certificate_outlives_its_authority() -> None:
    authority = _authority()
    late = authority.certificate.not_valid_after_utc - timedelta(days=30)

    issued = _peer(authority, now=late)

    assert issued.expires == authority.certificate.not_valid_after_utc
    with pytest.raises(CommandError, match="has expired"):
        _peer(authority, now=late + timedelta(days=31))


def test_an_authority_is_loaded_with_its_own_key_only() -> None:
    ours, theirs = _authority(), _authority()

    assert load_authority(certificate=ours.certificate, key_pem=ours.key_pem()) is not None
    with pytest.raises(CommandError, match="does not belong"):
        load_authority(certificate=ours.certificate, key_pem=theirs.key_pem())
    with pytest.raises(CommandError, match="expected an ECDSA private key"):
        load_authority(certificate=ours.certificate, key_pem=b"no key")


def test_keys_are_in_no_repr() -> None:
    authority = _authority()

    assert "key=" not in repr(authority)
    assert "PRIVATE" not in repr(_peer(authority))


def test_the_daemon_knows_every_founder_by_its_certificate(founded: Founding) -> None:
    genesis = Home(path=founded.folder / TOWN).read_genesis()
    for member in MEMBERS:
        home = Home(path=founded.folder / member)
        certificate = x509.load_pem_x509_certificate(home.peer_certificate.read_bytes())
        identity = identity_of(certificate, genesis)

        assert isinstance(identity, PeerIdentity)
        assert identity.member == member
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [server_name(genesis, identity.peer)]


def test_an_authority_speaks_for_its_own_member_alone(founded: Founding) -> None:
    homes = {member: Home(path=founded.folder / member) for member in MEMBERS}
    genesis = homes[TOWN].read_genesis()
    for issuer, claimed in itertools.product(MEMBERS, MEMBERS):
        issued = issue_principal(
            homes[issuer].read_authority(),
            consortium=CITY,
            member=MemberId(claimed),
            principal="records",
            now=datetime.now(UTC),
            key_pem=None,
        )
        if issuer == claimed:
            assert identity_of(_parsed(issued), genesis) == PrincipalIdentity(
                member=MemberId(claimed), principal="records"
            )
        else:
            with pytest.raises(CallError):
                identity_of(_parsed(issued), genesis)


def _authority() -> Authority:
    return create_authority(consortium=CITY, member=MEMBER, now=NOW)


def _peer(authority: Authority, *, now: datetime = NOW, key_pem: bytes | None = None) -> Issued:
    return issue_peer(
        authority, consortium=CITY, member=MEMBER, peer=PEER, now=now, key_pem=key_pem
    )


def _principal(authority: Authority) -> Issued:
    return issue_principal(
        authority, consortium=CITY, member=MEMBER, principal="records", now=NOW, key_pem=None
    )


def _parsed(issued: Issued) -> x509.Certificate:
    return x509.load_pem_x509_certificate(issued.certificate_pem)


def test_a_key_under_a_passphrase_is_refused_as_no_key() -> None:
    authority = _authority()
    locked = authority.key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
    )

    with pytest.raises(CommandError, match="expected an ECDSA private key in PEM"):
        load_authority(certificate=authority.certificate, key_pem=locked)
