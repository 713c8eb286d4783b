import pytest
from caretree.ledger.armour import Armour, format_armour, parse_armour
from caretree.ledger.invitations import (
    CeremonyError,
    create_invitation,
    make_join_request,
    parse_invitation,
    parse_join_request,
)
from caretree.model.errors import MalformedError
from caretree.model.ids import MemberId
from caretree.proto.ledger.v1 import genesis_pb2

from tests.ledger.builders import (
    CONSORTIUM,
    IDENTIFIER_SYSTEMS,
    OFFICE,
    TOWN,
    founder,
)
from tests.ledger.founding import FOUNDERS, KNOWN_SEALED, MEMBERS, invitation, request


def test_two_invitations_with_other_nonces_are_different() -> None:
    other = parse_invitation(invitation(nonce=b"m" * 16))

    assert other.hash != parse_invitation(invitation()).hash


@pytest.mark.parametrize(
    ("consortium", "systems", "members", "nonce", "field"),
    [
        ("A", IDENTIFIER_SYSTEMS, MEMBERS, b"n" * 16, "consortium"),
        (CONSORTIUM, (), MEMBERS, b"n" * 16, "identifier_systems"),
        (CONSORTIUM, IDENTIFIER_SYSTEMS, (), b"n" * 16, "invitation.members"),
        (CONSORTIUM, IDENTIFIER_SYSTEMS, (TOWN, TOWN), b"n" * 16, "invitation.members"),
        (CONSORTIUM, IDENTIFIER_SYSTEMS, ("Town",), b"n" * 16, "member"),
        (CONSORTIUM, IDENTIFIER_SYSTEMS, MEMBERS, b"n" * 15, "invitation.nonce"),
    ],
)
def test_an_invitation_that_breaks_a_rule_is_refused_by_its_field(
    consortium: str, systems: tuple[str, ...], members: tuple[str, ...], nonce: bytes, field: str
) -> None:
    with pytest.raises(MalformedError) as refused:
        create_invitation(
            consortium=consortium, identifier_systems=systems, members=members, nonce=nonce
        )

    assert refused.value.field == field


def test_sixty_four_members_are_invited_at_most() -> None:
    def crowd(count: int) -> tuple[MemberId, ...]:
        return tuple(MemberId(f"m{number}") for number in range(count))

    assert len(parse_invitation(invitation(members=crowd(64))).members) == 64
    with pytest.raises(MalformedError, match=r"invitation\.members"):
        invitation(members=crowd(65))


def test_who_is_not_invited_cannot_ask_to_join() -> None:
    with pytest.raises(CeremonyError, match="stranger is not invited"):
        request(founder("stranger"))


def test_a_join_request_is_signed_by_the_member_key_it_names() -> None:
    one = FOUNDERS[TOWN]
    with pytest.raises(CeremonyError, match="not signed by its member key"):
        make_join_request(
            invitation(), member=one.as_member(), sign=FOUNDERS[OFFICE].member_key.sign
        )

    content = genesis_pb2.SignedJoinRequest.FromString(
        parse_armour(Armour.JOIN_REQUEST, request(one))
    )
    content.join_request = content.join_request.replace(b"Township", b"Mountain")
    with pytest.raises(CeremonyError, match="not signed by its member key"):
        parse_join_request(format_armour(Armour.JOIN_REQUEST, content.SerializeToString()))


def test_a_join_request_brings_no_sealed_pseudonym_key() -> None:
    one = FOUNDERS[TOWN]
    member = one.as_member(sealed_pseudonym_key=KNOWN_SEALED[one.sealing.public_key])

    with pytest.raises(MalformedError, match=r"member\.sealed_pseudonym_key"):
        make_join_request(invitation(), member=member, sign=one.member_key.sign)
