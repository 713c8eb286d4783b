from collections.abc import Callable

import pytest
from caretree.crypto.custody import open_sealed
from caretree.ledger.genesis import (
    GENESIS_BYTES_MAX,
    cosigner_name,
    faulty_signers_max,
    genesis_hash,
    parse_genesis,
)
from caretree.model.errors import MalformedError
from caretree.model.ids import MemberId, PeerId, show_peer_id
from caretree.proto.ledger.v1 import genesis_pb2
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.builders import (
    CONSORTIUM,
    HOSPITAL,
    PSEUDONYM_KEY,
    TOWN,
    Founder,
    found,
    founder,
    founders,
    pseudonym_info,
)

Edit = Callable[[genesis_pb2.Genesis], object]


def crowd(count: int, *, voters: int | None = None, signers: int | None = None) -> list[Founder]:
    """So many founders with a peer each, the first ones voters, the first ones signers."""
    signing = count if signers is None else signers
    voting = min(signing, 9) if voters is None else voters
    return [
        founder(f"m{number}", voter=number < voting, signer=number < signing)
        for number in range(count)
    ]


def edited(edit: Edit) -> bytes:
    """The three founders' genesis after a change to its message."""
    message = genesis_pb2.Genesis.FromString(founders().genesis.encoded)
    edit(message)
    return message.SerializeToString()


def test_the_bytes_of_a_genesis_are_what_they_were() -> None:
    genesis = founders().genesis

    assert genesis.hash.hex() == "b0a9c2f17f106f91043d2ee54a5163550abb71d3dc4a6c2fc57cf055b0df3c36"
    assert genesis.origin == f"{CONSORTIUM}/b0a9c2f1"
    assert genesis_hash(genesis.encoded) == genesis.hash


def test_peer_ids_follow_from_their_keys() -> None:
    consortium = founders()

    assert [show_peer_id(peer.peer) for peer in consortium.genesis.peers] == [
        "9f38567430a6b8e8",
        "3a312379ee77a4bb",
        "1a421040ad36b8e3",
    ]


def test_members_and_peers_are_found_by_their_ids() -> None:
    consortium = founders()
    keys = consortium[HOSPITAL].peer

    peer = consortium.genesis.peer(keys.peer)
    assert peer is not None
    assert peer.member == HOSPITAL
    assert peer.keys == (keys.batch.public_key, keys.log.public_key, keys.cosigner.public_key)
    member = consortium.genesis.member(HOSPITAL)
    assert member is not None
    assert member.peers == (peer,)
    assert consortium.genesis.peer(PeerId(1)) is None
    assert consortium.genesis.member(MemberId("stranger")) is None


def test_each_founder_opens_the_pseudonym_key() -> None:
    consortium = founders()

    for one in consortium.founders:
        member = consortium.genesis.member(one.member)
        assert member is not None
        info = pseudonym_info(one.member)
        sealed = member.sealed_pseudonym_key
        assert open_sealed(one.sealing, info=info, sealed=sealed) == PSEUDONYM_KEY


def test_a_cosigner_is_named_by_origin_member_and_peer() -> None:
    consortium = founders()
    peer = consortium[TOWN].as_peer()

    name = cosigner_name(consortium.origin, peer)

    assert name == f"{consortium.origin}/town/{show_peer_id(peer.peer)}"


@pytest.mark.parametrize(
    ("signers", "faulty", "quorum"),
    [(1, 0, 1), (2, 0, 2), (3, 0, 2), (4, 1, 3), (5, 1, 4), (6, 1, 4), (7, 1, 5), (9, 1, 6)],
)
def test_the_quorum_is_half_of_signers_and_liars_and_one_rounded_up(
    signers: int, faulty: int, quorum: int
) -> None:
    genesis = found(crowd(signers)).genesis

    assert faulty_signers_max(signers) == faulty == genesis.faulty_signers_max
    assert genesis.certification_quorum == quorum
    # Any two quorums share more signers than may lie, and the honest alone reach one.
    assert 2 * quorum - signers > faulty
    assert quorum <= signers - faulty


def test_peers_may_vote_or_witness_or_only_follow() -> None:
    genesis = found(crowd(5, voters=2, signers=4)).genesis

    assert len(genesis.voters) == 2
    assert len(genesis.signers) == 4
    assert len(genesis.peers) == 5


def test_nine_voters_are_the_most() -> None:
    assert len(found(crowd(9, voters=9)).genesis.voters) == 9
    with pytest.raises(MalformedError, match="genesis voters"):
        found(crowd(10, voters=10))


def test_sixty_four_members_are_the_most() -> None:
    sealed = [b"\x01\x01" + bytes(80)] * 65

    assert len(found(crowd(64), sealed_keys=sealed[:64]).genesis.members) == 64
    with pytest.raises(MalformedError, match=r"genesis\.members"):
        found(crowd(65, signers=64), sealed_keys=sealed)


def second_peer(message: genesis_pb2.Genesis, *, member: int, signer: bool) -> None:
    """Add a peer with keys of its own to a member."""
    peer = founder("other", peer_seed=f"{member}").as_peer()
    message.members[member].peers.append(
        genesis_pb2.Peer(
            batch_key=peer.batch_key,
            log_key=peer.log_key,
            cosigner_key=peer.cosigner_key,
            signer=signer,
            address="second.example:7400",
        )
    )


def test_a_member_may_have_a_second_peer() -> None:
    genesis = parse_genesis(edited(lambda m: second_peer(m, member=0, signer=False)))

    member = genesis.member(TOWN)
    assert member is not None
    assert [peer.voter for peer in member.peers] == [True, False]


def test_a_quorum_that_the_members_cannot_reach_is_refused() -> None:
    def crowd_one_member(message: genesis_pb2.Genesis) -> None:
        for number in range(4):
            peer = founder(f"extra{number}").as_peer()
            message.members[0].peers.append(
                genesis_pb2.Peer(
                    batch_key=peer.batch_key,
                    log_key=peer.log_key,
                    cosigner_key=peer.cosigner_key,
                    signer=True,
                    address="extra.example:7400",
                )
            )
        message.faulty_signers_max = 1

    with pytest.raises(MalformedError, match="7 signers need co-signatures of 5 members"):
        parse_genesis(edited(crowd_one_member))


def share(field: str) -> Edit:
    """Give the second member the first one's value."""
    return lambda m: setattr(m.members[1], field, getattr(m.members[0], field))


def set_peer(field: str, value: object) -> Edit:
    """Change the first member's peer."""
    return lambda m: setattr(m.members[0].peers[0], field, value)


def set_member(field: str, value: object) -> Edit:
    """Change the first member."""
    return lambda m: setattr(m.members[0], field, value)


REFUSED: dict[str, tuple[Edit, str]] = {
    "newer version": (lambda m: setattr(m, "version", 2), "genesis.version"),
    "other suite": (lambda m: setattr(m, "suite", 7), "genesis.suite"),
    "consortium": (lambda m: setattr(m, "consortium", "A B"), "consortium"),
    "no time": (lambda m: setattr(m, "time_ms", 0), "genesis.time_ms"),
    "no ledger version": (lambda m: setattr(m, "ledger_version", 0), "genesis.ledger_version"),
    "newer ledger": (lambda m: setattr(m, "ledger_version", 2), "genesis.ledger_version"),
    "other b": (lambda m: setattr(m, "faulty_signers_max", 1), "genesis.faulty_signers_max"),
    "no systems": (lambda m: m.ClearField("identifier_systems"), "identifier_systems"),
    "system twice": (
        lambda m: m.identifier_systems.append(m.identifier_systems[0]),
        "identifier_systems",
    ),
    "system with space": (lambda m: m.identifier_systems.append("a b"), "identifier_systems"),
    "pseudonym epoch": (lambda m: setattr(m, "pseudonym_epoch", 2), "genesis.pseudonym_epoch"),
    "no members": (lambda m: m.ClearField("members"), "genesis.members"),
    "member twice": (share("member"), "genesis.members"),
    "shared sealing key": (share("sealing_key"), "member.sealing_key"),
    "shared authority": (share("ca_certificate"), "member.ca_certificate"),
    "shared member key": (share("member_key"), "genesis signing keys"),
    "member id": (set_member("member", "Town"), "member"),
    "no name": (set_member("display_name", " "), "member.display_name"),
    "name with newline": (set_member("display_name", "a\nb"), "member.display_name"),
    "name turned round": (set_member("display_name", "a\u202eb"), "member.display_name"),
    "long name": (set_member("display_name", "x" * 129), "member.display_name"),
    "member key": (set_member("member_key", bytes(32)), "member.member_key"),
    "sealing key": (set_member("sealing_key", bytes(31)), "member.sealing_key"),
    "no certificate": (set_member("ca_certificate", b""), "member.ca_certificate"),
    "text certificate": (set_member("ca_certificate", b"-----"), "member.ca_certificate"),
    "long certificate": (
        set_member("ca_certificate", b"\x30" + bytes(4096)),
        "member.ca_certificate",
    ),
    "no sealed key": (set_member("sealed_pseudonym_key", b""), "member.sealed_pseudonym_key"),
    "no peers": (lambda m: m.members[0].ClearField("peers"), "member.peers"),
    "peer twice": (
        lambda m: m.members[0].peers.append(m.members[0].peers[0]),
        "genesis signing keys",
    ),
    "one key for two purposes": (
        lambda m: setattr(m.members[0].peers[0], "log_key", m.members[0].peers[0].batch_key),
        "genesis signing keys",
    ),
    "batch key": (set_peer("batch_key", b"\xff" * 32), "peer.batch_key"),
    "log key": (set_peer("log_key", b""), "peer.log_key"),
    "cosigner key": (set_peer("cosigner_key", bytes(33)), "peer.cosigner_key"),
    "voter without signature": (set_peer("signer", False), "peer.signer"),
    "no port": (set_peer("address", "town.example"), "peer.address"),
    "port too large": (set_peer("address", "town.example:65536"), "peer.address"),
    "no address": (set_peer("address", ""), "peer.address"),
    "address with space": (set_peer("address", "town .example:1"), "peer.address"),
    "hidden field": (lambda m: m.members[0].peers[0].MergeFromString(b"\xc2\x3e\x01x"), "genesis"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_genesis_that_breaks_a_rule_is_refused_by_its_field(name: str) -> None:
    edit, field = REFUSED[name]

    with pytest.raises(MalformedError) as refused:
        parse_genesis(edited(edit))

    assert refused.value.field == field


def test_nobody_voting_is_refused() -> None:
    with pytest.raises(MalformedError, match="genesis voters"):
        found(crowd(3, voters=0))


@pytest.mark.parametrize("address", ["10.0.0.1:1", "[2001:db8::1]:65535", "a-b.example:7400"])
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    genesis = parse_genesis(edited(set_peer("address", address)))

    assert genesis.peers[0].address == address


def test_a_genesis_has_at_most_512_kib() -> None:
    with pytest.raises(MalformedError, match=f"at most {GENESIS_BYTES_MAX} bytes"):
        parse_genesis(bytes(GENESIS_BYTES_MAX + 1))
    with pytest.raises(MalformedError, match=r"a caretree\.ledger\.v1\.Genesis message"):
        parse_genesis(bytes(GENESIS_BYTES_MAX))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_as_malformed(content: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_genesis(content)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_is_refused_or_makes_another_genesis(place: int, flip: int) -> None:
    encoded = bytearray(founders().genesis.encoded)
    encoded[place % len(encoded)] ^= flip

    try:
        changed = parse_genesis(bytes(encoded))
    except MalformedError:
        return

    assert changed.hash != founders().genesis.hash
