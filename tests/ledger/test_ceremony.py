from collections.abc import Callable
from dataclasses import replace

import pytest
from caretree.crypto.custody import seal_to
from caretree.crypto.ed25519 import SigningKey
from caretree.ledger.armour import Armour, format_armour
from caretree.ledger.ceremony import (
    check_founded,
    combine,
    found,
    open_pseudonym_key,
    parse_genesis_file,
    sign_genesis,
)
from caretree.ledger.invitations import (
    CeremonyError,
    parse_invitation,
    parse_join_request,
)
from caretree.model.errors import CaretreeError, MalformedError
from caretree.model.ids import Digest, MemberId, TimeMs
from caretree.proto.ledger.v1 import genesis_pb2
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.builders import (
    FOUNDED_MS,
    HOSPITAL,
    OFFICE,
    PSEUDONYM_KEY,
    TOWN,
    founders,
)
from tests.ledger.founding import (
    FOUNDERS,
    MEMBERS,
    Unsealing,
    all_signed,
    altered,
    founded_by,
    founding,
    invitation,
    request,
    requests,
    sealed_once,
    signature,
    signatures,
)


def test_the_steps_lead_from_an_invitation_to_a_founded_genesis() -> None:
    founded = combine(founding(), signatures=signatures())

    genesis = check_founded(founded, expected_hash=founders().genesis.hash)

    assert genesis == founders().genesis
    assert genesis.encoded == founders().genesis.encoded
    for one in FOUNDERS.values():
        unseal = Unsealing(one.sealing)
        assert open_pseudonym_key(genesis, member=one.member, unseal=unseal) == PSEUDONYM_KEY


def test_the_bytes_of_the_ceremony_are_what_they_were() -> None:
    assert (
        parse_invitation(invitation()).hash.hex()
        == "9a42550907df5302eacd7bd02a3d391d6012d34cd4aa5ab3f762329f18185596"
    )
    files = (request(FOUNDERS[TOWN]), signature(FOUNDERS[TOWN]))
    assert [file.decode().splitlines()[-1] for file in files] == [
        "sha256 93dbd73930c794a4",
        "sha256 1790b3c75b5fea25",
    ]


def test_a_real_seal_opens_for_its_member_alone() -> None:
    file = found(
        invitation(),
        requests=requests(),
        pseudonym_key=PSEUDONYM_KEY,
        seal=seal_to,
        time_ms=FOUNDED_MS,
    )
    genesis = parse_genesis_file(file)

    town, office = (Unsealing(FOUNDERS[member].sealing) for member in (TOWN, OFFICE))
    assert open_pseudonym_key(genesis, member=TOWN, unseal=town) == PSEUDONYM_KEY
    with pytest.raises(CeremonyError, match="does not open"):
        open_pseudonym_key(genesis, member=TOWN, unseal=office)
    with pytest.raises(CeremonyError, match="is no member"):
        open_pseudonym_key(genesis, member=MemberId("stranger"), unseal=town)


def test_members_stand_in_the_order_of_the_invitation() -> None:
    genesis = parse_genesis_file(founding())

    assert tuple(member.member for member in genesis.members) == MEMBERS


def founding_from(*files: bytes) -> bytes:
    """The genesis file out of these join requests."""
    return found(
        invitation(),
        requests=files,
        pseudonym_key=PSEUDONYM_KEY,
        seal=seal_to,
        time_ms=FOUNDED_MS,
    )


def test_a_missing_or_second_join_request_is_refused() -> None:
    with pytest.raises(CeremonyError, match="the join request of hospital is missing"):
        founding_from(request(FOUNDERS[TOWN]), request(FOUNDERS[OFFICE]))
    with pytest.raises(CeremonyError, match="office sent more than one"):
        founding_from(*requests(), request(FOUNDERS[OFFICE]))


def test_a_join_request_for_another_invitation_is_refused() -> None:
    late = request(FOUNDERS[TOWN], invited=invitation(nonce=b"o" * 16))

    with pytest.raises(CeremonyError, match="town answers another invitation"):
        founding_from(late, *requests()[:2])


def test_a_key_that_two_founders_share_is_refused() -> None:
    hospital = replace(FOUNDERS[HOSPITAL], sealing=FOUNDERS[TOWN].sealing)

    with pytest.raises(MalformedError, match=r"member\.sealing_key"):
        founding_from(request(hospital), request(FOUNDERS[TOWN]), request(FOUNDERS[OFFICE]))


def test_a_pseudonym_key_of_another_length_is_refused() -> None:
    with pytest.raises(MalformedError, match="pseudonym key"):
        found(
            invitation(), requests=requests(), pseudonym_key=b"k", seal=seal_to, time_ms=TimeMs(1)
        )


ALTERED: dict[str, tuple[Callable[[genesis_pb2.Genesis], object], str]] = {
    "consortium": (lambda m: setattr(m, "consortium", "other.example"), "is of other.example"),
    "systems": (lambda m: m.identifier_systems.pop(), "other identifier systems"),
    "a member less": (lambda m: m.members.pop(), "names other members"),
    "order": (lambda m: m.members.reverse(), "names other members"),
    "name": (
        lambda m: setattr(m.members[0], "display_name", "x"),
        "does not say what town asked for",
    ),
    "certificate": (
        lambda m: setattr(m.members[0], "ca_certificate", b"\x30x"),
        "does not say what town asked for",
    ),
    "address": (
        lambda m: setattr(m.members[0].peers[0], "address", "else.example:1"),
        "does not say what town asked for",
    ),
    "vote": (
        lambda m: setattr(m.members[0].peers[0], "voter", False),
        "does not say what town asked for",
    ),
    "sealed key": (
        lambda m: setattr(m.members[0], "sealed_pseudonym_key", m.members[1].sealed_pseudonym_key),
        "does not open",
    ),
}


@pytest.mark.parametrize("name", ALTERED)
def test_a_founder_does_not_sign_what_it_did_not_ask_for(name: str) -> None:
    edit, reason = ALTERED[name]
    signed: list[bytes] = []

    def sign(message: bytes) -> bytes:
        signed.append(message)
        return FOUNDERS[TOWN].member_key.sign(message)

    with pytest.raises(CeremonyError, match=reason):
        sign_genesis(
            altered(edit),
            invitation=invitation(),
            request=request(FOUNDERS[TOWN]),
            unseal=Unsealing(FOUNDERS[TOWN].sealing),
            sign=sign,
        )

    assert signed == []


def test_a_founder_signs_with_its_member_key_only() -> None:
    other = SigningKey.from_seed(b"o" * 32)

    with pytest.raises(CeremonyError, match="not the member key"):
        signature(FOUNDERS[TOWN], sign=other.sign)


def test_a_founder_does_not_sign_on_another_invitation() -> None:
    with pytest.raises(CeremonyError, match="answers another invitation"):
        sign_genesis(
            founding(),
            invitation=invitation(nonce=b"o" * 16),
            request=request(FOUNDERS[TOWN]),
            unseal=Unsealing(FOUNDERS[TOWN].sealing),
            sign=FOUNDERS[TOWN].member_key.sign,
        )


@pytest.mark.parametrize("missing", MEMBERS)
def test_an_import_without_every_signature_is_refused(missing: MemberId) -> None:
    rest = [signature(one) for one in FOUNDERS.values() if one.member != missing]
    with pytest.raises(CeremonyError, match=f"the signature of {missing} is missing"):
        combine(founding(), signatures=rest)

    signed = [entry for entry in all_signed() if entry.member != missing]
    with pytest.raises(CeremonyError, match=f"the signature of {missing} is missing"):
        check_founded(founded_by(*signed), expected_hash=founders().genesis.hash)


def test_an_import_with_a_wrong_signature_is_refused() -> None:
    town, hospital, office = all_signed()
    swapped = genesis_pb2.FounderSignature(member="town", signature=hospital.signature)
    stranger = genesis_pb2.FounderSignature(member="stranger", signature=town.signature)
    short = genesis_pb2.FounderSignature(member="town", signature=b"x" * 63)
    expected = founders().genesis.hash

    with pytest.raises(CeremonyError, match="the signature of town does not hold"):
        check_founded(founded_by(swapped, hospital, office), expected_hash=expected)
    with pytest.raises(CeremonyError, match="stranger signed, but is no founder"):
        check_founded(founded_by(town, hospital, office, stranger), expected_hash=expected)
    with pytest.raises(CeremonyError, match="there twice"):
        check_founded(founded_by(town, town, hospital, office), expected_hash=expected)
    with pytest.raises(MalformedError, match="founder signature"):
        check_founded(founded_by(short, hospital, office), expected_hash=expected)


def test_signatures_over_another_genesis_are_refused() -> None:
    other = found(
        invitation(),
        requests=requests(),
        pseudonym_key=PSEUDONYM_KEY,
        seal=sealed_once,
        time_ms=TimeMs(FOUNDED_MS + 1),
    )

    with pytest.raises(CeremonyError, match="the signature of town does not hold"):
        combine(other, signatures=signatures())


def test_an_import_by_another_hash_is_refused() -> None:
    founded = combine(founding(), signatures=signatures())

    with pytest.raises(CeremonyError, match=f"expected the genesis {'00' * 32}"):
        check_founded(founded, expected_hash=Digest(bytes(32)))


@given(st.binary(max_size=200))
def test_arbitrary_content_raises_only_our_errors(content: bytes) -> None:
    digest = Digest(bytes(32))
    steps: list[tuple[Armour, Callable[[bytes], object]]] = [
        (Armour.INVITATION, parse_invitation),
        (Armour.JOIN_REQUEST, parse_join_request),
        (Armour.GENESIS, parse_genesis_file),
        (Armour.FOUNDED_GENESIS, lambda file: check_founded(file, expected_hash=digest)),
        (Armour.FOUNDER_SIGNATURE, lambda file: combine(founding(), signatures=[file])),
    ]
    for kind, parse in steps:
        with pytest.raises(CaretreeError):
            parse(format_armour(kind, content))
