import pytest
from caretree.crypto.ed25519 import verify
from caretree.ledger.certificate import (
    OriginError,
    add_lines,
    certification,
    certification_policy,
    format_certified_note,
    format_note,
    is_certified,
    policy_text,
    sign_cosigner_line,
    sign_lines,
    start_certificate,
    verify_certified,
)
from caretree.ledger.genesis import Genesis, parse_genesis
from caretree.merkle.certificate import Certificate
from caretree.merkle.checkpoint import Checkpoint
from caretree.merkle.lines import SignatureLine
from caretree.merkle.note import parse_note
from caretree.merkle.policy import QuorumError, UnknownLogError, verify_checkpoint
from caretree.merkle.policy_text import parse_policy
from caretree.model.errors import VerificationError
from caretree.model.ids import Digest, MemberId, Origin, TreeSize
from caretree.proto.ledger.v1 import genesis_pb2

from tests.ledger.builders import (
    HOSPITAL,
    OFFICE,
    TOWN,
    Founder,
    found,
    founder,
    founders,
)
from tests.ledger.samples import SIGNED_S, history, short_hash

ROOT = Digest(b"\x55" * 32)


def checkpoint(genesis: Genesis) -> Checkpoint:
    """A checkpoint of size 12."""
    return Checkpoint(origin=genesis.origin, size=TreeSize(12), root=ROOT)


def lines_of(signer: Founder, over: Checkpoint) -> tuple[SignatureLine, SignatureLine]:
    """Both lines of a founder's peer."""
    return sign_lines(
        over,
        peer=signer.as_peer(),
        sign_log=signer.peer.log.sign,
        sign_cosigner=signer.peer.cosigner.sign,
        time_s=SIGNED_S,
    )


def gathered(*members: MemberId) -> Certificate:
    """A certificate of the three founders' log with both lines of these members' peers."""
    consortium = founders()
    over = checkpoint(consortium.genesis)
    lines = [line for member in members for line in lines_of(consortium[member], over)]
    merged = add_lines(start_certificate(over), lines, certification(consortium.genesis))
    assert merged.bad == merged.unknown == ()
    return merged.certificate


def test_the_lines_of_a_peer_are_what_they_were() -> None:
    note = format_note(gathered(TOWN))

    assert short_hash(note) == "4cb4ef5e859dd2af6af10986acdd8f99"


def test_the_policy_text_is_what_it_was() -> None:
    text = policy_text(founders().genesis)

    assert short_hash(text.encode()) == "8b46837b266587180ba70fc1cc21b786"
    words = [line.split()[0] for line in text.splitlines()]
    assert words == ["log"] * 3 + ["witness"] * 3 + ["group", "quorum"]


def test_the_policy_text_says_the_rule() -> None:
    genesis = founders().genesis

    assert parse_policy(policy_text(genesis).encode()) == certification_policy(genesis)


def test_two_of_three_signers_certify() -> None:
    rule = certification(founders().genesis)

    assert not is_certified(gathered(), rule)
    assert not is_certified(gathered(TOWN), rule)
    assert is_certified(gathered(TOWN, OFFICE), rule)
    assert is_certified(gathered(TOWN, HOSPITAL, OFFICE), rule)


def test_cosignatures_without_a_log_line_do_not_certify() -> None:
    consortium = founders()
    over = checkpoint(consortium.genesis)
    rule = certification(consortium.genesis)
    cosigned = [lines_of(consortium[member], over)[1] for member in (TOWN, HOSPITAL, OFFICE)]

    certificate = add_lines(start_certificate(over), cosigned, rule).certificate

    assert not is_certified(certificate, rule)
    with pytest.raises(UnknownLogError):
        verify_certified(format_note(certificate), rule)


def test_a_certified_note_holds_one_log_line_and_the_quorum() -> None:
    rule = certification(founders().genesis)
    certificate = gathered(OFFICE, HOSPITAL, TOWN)

    note = format_certified_note(certificate, rule)

    assert len(parse_note(note).lines) == 1 + rule.quorum == 3
    assert len(parse_note(format_note(certificate)).lines) == 6
    verified = verify_certified(note, rule)
    assert verified.checkpoint == certificate.checkpoint
    assert [witness.time_s for witness in verified.witnesses] == [SIGNED_S] * 2


def test_too_few_cosignatures_are_refused() -> None:
    with pytest.raises(QuorumError):
        verify_certified(format_note(gathered(TOWN)), certification(founders().genesis))


def test_a_line_that_does_not_hold_spoils_nothing() -> None:
    consortium = founders()
    rule = certification(consortium.genesis)
    good = gathered(TOWN)
    elsewhere = Checkpoint(origin=consortium.origin, size=TreeSize(13), root=ROOT)
    stranger = founder("stranger")

    merged = add_lines(
        good,
        [
            *lines_of(consortium[OFFICE], elsewhere),
            *lines_of(stranger, good.checkpoint),
            *lines_of(consortium[HOSPITAL], good.checkpoint),
        ],
        rule,
    )

    assert len(merged.bad) == 2
    assert len(merged.unknown) == 2
    assert is_certified(merged.certificate, rule)
    assert len(merged.certificate.lines) == 4


def test_a_log_key_makes_no_cosignature() -> None:
    consortium = founders()
    rule = certification(consortium.genesis)
    town = consortium[TOWN]
    over = checkpoint(consortium.genesis)
    line = sign_cosigner_line(over, peer=town.as_peer(), sign=town.peer.log.sign, time_s=SIGNED_S)

    merged = add_lines(start_certificate(over), [line], rule)

    assert merged.bad == (line,)


def test_another_log_is_refused() -> None:
    rule = certification(founders().genesis)
    other = Checkpoint(origin=Origin("other.example/00000000"), size=TreeSize(1), root=ROOT)

    with pytest.raises(OriginError):
        add_lines(start_certificate(other), [], rule)


def two_peers_of_town(*, strangers: int) -> tuple[Genesis, Founder, list[Founder]]:
    """A genesis in which the town has two signers; the second one's keys; the other founders."""
    others = [founder(f"m{number}") for number in range(strangers)]
    consortium = found([founder(TOWN), *others])
    second = founder(TOWN, peer_seed="second")
    peer = second.as_peer()
    message = genesis_pb2.Genesis.FromString(consortium.genesis.encoded)
    message.members[0].peers.append(
        genesis_pb2.Peer(
            batch_key=peer.batch_key,
            log_key=peer.log_key,
            cosigner_key=peer.cosigner_key,
            voter=True,
            signer=True,
            address=peer.address,
        )
    )
    message.faulty_signers_max = 1
    return parse_genesis(message.SerializeToString()), second, others


def test_two_signers_of_one_member_count_once() -> None:
    genesis, second, others = two_peers_of_town(strangers=3)  # 5 signers, q = 4
    rule = certification(genesis)
    over = checkpoint(genesis)
    lines = [line for one in (founder(TOWN), second, *others[:2]) for line in lines_of(one, over)]

    four_peers = add_lines(start_certificate(over), lines, rule).certificate

    assert rule.quorum == 4
    assert not is_certified(four_peers, rule)
    with pytest.raises(QuorumError):
        verify_checkpoint(four_peers.note(), certification_policy(genesis), verify)
    four_members = add_lines(four_peers, lines_of(others[2], over), rule).certificate
    assert is_certified(four_members, rule)
    note = format_certified_note(four_members, rule)
    verified = verify_checkpoint(parse_note(note), certification_policy(genesis), verify)
    assert len(verified.witnesses) == 4


def test_the_rule_and_its_policy_agree_for_every_set_of_signers() -> None:
    genesis, second, others = two_peers_of_town(strangers=3)
    rule, over = certification(genesis), checkpoint(genesis)
    signers = [founder(TOWN), second, *others]
    for chosen in range(1, 2 ** len(signers)):
        lines = [
            line
            for bit, signer in enumerate(signers)
            if chosen >> bit & 1
            for line in lines_of(signer, over)
        ]
        certificate = add_lines(start_certificate(over), lines, rule).certificate
        try:
            certificate.certify(rule.policy)
            by_policy = True
        except VerificationError:
            by_policy = False

        assert is_certified(certificate, rule) == by_policy


def test_a_history_is_certified_over_its_own_root() -> None:
    chain = history()
    rule = certification(chain.consortium.genesis)

    verified = verify_certified(chain.note(), rule)

    assert verified.checkpoint == chain.checkpoint()
    assert verified.checkpoint.size == 12
