"""Lines of many signers are gathered verified, once a key, in one order."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import pytest
from caretree.merkle.certificate import Certificate, Merged, merge_lines
from caretree.merkle.checkpoint import format_checkpoint
from caretree.merkle.keys import SignatureType, VerifierKey
from caretree.merkle.lines import SignatureLine
from caretree.merkle.note import format_note, parse_note
from caretree.merkle.policy import (
    Group,
    Log,
    Policy,
    QuorumError,
    UnknownLogError,
    Witness,
    verify_checkpoint,
)

from tests.merkle.builders import (
    Signer,
    check_signature,
    cosigner,
    log_signer,
    some_checkpoint,
    wrong_root_checkpoint,
)

CHECKPOINT = some_checkpoint()
TEXT = format_checkpoint(CHECKPOINT)
EMPTY = Certificate(checkpoint=CHECKPOINT, lines=())
MEMBERS = [cosigner(number) for number in range(3)]
LOGS = [log_signer(number) for number in range(3)]
POLICY = Policy(
    logs=tuple(Log(key=signer.verifier(SignatureType.NOTE), url=None) for signer in LOGS),
    witnesses=tuple(
        Witness(name=f"w{n}", key=member.verifier(SignatureType.COSIGNATURE), url=None)
        for n, member in enumerate(MEMBERS)
    ),
    groups=(Group(name="g", threshold=2, members=("w0", "w1", "w2")),),
    quorum="g",
)
KEYS = POLICY.verifiers(CHECKPOINT.origin)
ALL = [*(signer.sign(TEXT) for signer in LOGS), *(member.cosign(TEXT) for member in MEMBERS)]


@dataclass(slots=True)
class CountingCheck:
    """A signature check that counts how often it is asked."""

    asked: int = 0

    def __call__(self, public_key: bytes, message: bytes, signature: bytes, /) -> None:
        self.asked += 1
        check_signature(public_key, message, signature)


def merge(
    certificate: Certificate,
    lines: Sequence[SignatureLine],
    keys: Sequence[VerifierKey] = KEYS,
) -> Merged:
    return merge_lines(certificate, lines, keys=keys, check=check_signature)


def test_lines_arriving_in_any_order_and_grouping_give_the_same_note() -> None:
    expected = merge(EMPTY, ALL).certificate
    assert [verified.line for verified in expected.lines] == ALL
    chance = random.Random(6)
    for order in permutations(ALL):
        if chance.random() < 0.9:
            continue
        certificate = EMPTY
        cut = chance.randrange(len(order) + 1)
        for part in (order[:cut], order[cut:]):
            certificate = merge(certificate, part).certificate
        assert certificate == expected


def test_what_is_already_in_is_neither_doubled_nor_verified_again() -> None:
    check = CountingCheck()
    once = merge_lines(EMPTY, [*ALL, *ALL], keys=KEYS, check=check).certificate
    assert check.asked == len(ALL)
    assert merge_lines(once, ALL, keys=KEYS, check=check).certificate == once
    assert check.asked == len(ALL)


def test_bad_lines_and_unknown_keys_stay_out_and_are_told_apart() -> None:
    other_text = format_checkpoint(wrong_root_checkpoint())
    lying = MEMBERS[1].cosign(other_text)
    stranger = Signer("stranger.example", "stranger").cosign(TEXT)
    merged = merge(EMPTY, [ALL[0], lying, stranger, ALL[3]])
    assert [verified.line for verified in merged.certificate.lines] == [ALL[0], ALL[3]]
    assert merged.bad == (lying,)
    assert merged.unknown == (stranger,)


def test_a_bad_line_does_not_push_out_a_good_one_of_the_same_key() -> None:
    good = merge(EMPTY, [ALL[3]]).certificate
    later_but_bad = SignatureLine(
        name=ALL[3].name,
        key_id=ALL[3].key_id,
        signature=(2**40).to_bytes(8, "big") + ALL[3].signature[8:],
    )
    merged = merge(good, [later_but_bad])
    assert merged.certificate == good
    assert merged.bad == (later_but_bad,)


def test_the_latest_cosignature_of_a_key_stays() -> None:
    lines = [MEMBERS[0].cosign(TEXT, time_s) for time_s in (20, 30, 10)]
    for order in permutations(lines):
        merged = merge(EMPTY, order)
        assert [verified.time_s for verified in merged.certificate.lines] == [30]
        assert merged.bad == ()


def test_lines_of_keys_that_no_longer_count_fall_out() -> None:
    everything = merge(EMPTY, ALL).certificate
    kept = merge(everything, [], keys=KEYS[:4]).certificate
    assert [verified.line for verified in kept.lines] == ALL[:4]


def test_a_checkpoint_is_certified_once_a_log_and_the_quorum_are_in_and_not_before() -> None:
    certificate = EMPTY
    for line, error in [
        (ALL[4], UnknownLogError),
        (ALL[1], QuorumError),
        (ALL[0], QuorumError),
    ]:
        certificate = merge(certificate, [line]).certificate
        with pytest.raises(error):
            certificate.certify(POLICY)
    certificate = merge(certificate, [ALL[5]]).certificate
    certified = certificate.certify(POLICY)
    note = parse_note(format_note(certificate.note()))
    assert verify_checkpoint(note, POLICY, check_signature) == certified
    assert [witness.name for witness in certified.witnesses] == ["w1", "w2"]
