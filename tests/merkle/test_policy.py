"""A checkpoint is trusted when a listed log signed it and its cosigners meet the quorum."""

from dataclasses import replace
from itertools import combinations

import pytest
from caretree.merkle.checkpoint import format_checkpoint
from caretree.merkle.keys import SignatureType
from caretree.merkle.lines import SignatureLine
from caretree.merkle.note import BadSignatureError, Note, UnsignedNoteError
from caretree.merkle.policy import (
    POLICY_WITNESSES_MAX,
    Group,
    Log,
    Policy,
    QuorumError,
    UnknownLogError,
    Witness,
    WitnessedAt,
    verify_checkpoint,
)
from caretree.model.errors import MalformedError

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
MEMBERS = [cosigner(number) for number in range(4)]
LOGS = [log_signer(number) for number in range(4)]


def witness(signer: Signer, name: str | None = None) -> Witness:
    return Witness(
        name=name or signer.name, key=signer.verifier(SignatureType.COSIGNATURE), url=None
    )


def log(signer: Signer) -> Log:
    return Log(key=signer.verifier(SignatureType.NOTE), url=None)


def consortium_policy(threshold: int) -> Policy:
    """Four signers, each with a log key and a cosigner key, of whom `threshold` must cosign."""
    return Policy(
        logs=tuple(map(log, LOGS)),
        witnesses=tuple(map(witness, MEMBERS)),
        groups=(
            Group(name="signers", threshold=threshold, members=tuple(m.name for m in MEMBERS)),
        ),
        quorum="signers",
    )


def note_of(*lines: SignatureLine, text: bytes = TEXT) -> Note:
    return Note(text=text, lines=lines)


def test_one_log_line_and_the_quorum_certify_a_checkpoint_with_the_times_of_its_witnesses() -> None:
    note = note_of(
        MEMBERS[2].cosign(TEXT, 102),
        LOGS[1].sign(TEXT),
        MEMBERS[0].cosign(TEXT, 100),
        MEMBERS[1].cosign(TEXT, 101),
    )
    verified = verify_checkpoint(note, consortium_policy(3), check_signature)
    assert verified.checkpoint == CHECKPOINT
    assert verified.log_keys == (LOGS[1].verifier(SignatureType.NOTE),)
    assert verified.witnesses == tuple(
        WitnessedAt(name=MEMBERS[number].name, time_s=100 + number) for number in range(3)
    )


@pytest.mark.parametrize("threshold", [1, 2, 3, 4])
def test_every_choice_of_witnesses_is_certified_exactly_when_there_are_enough(
    threshold: int,
) -> None:
    policy = consortium_policy(threshold)
    for count in range(5):
        for chosen in combinations(MEMBERS, count):
            note = note_of(LOGS[0].sign(TEXT), *(member.cosign(TEXT) for member in chosen))
            if count >= threshold:
                verified = verify_checkpoint(note, policy, check_signature)
                assert [witnessed.name for witnessed in verified.witnesses] == [
                    member.name for member in chosen
                ]
            else:
                with pytest.raises(QuorumError) as refusal:
                    verify_checkpoint(note, policy, check_signature)
                assert refusal.value.cosigned == tuple(member.name for member in chosen)


def test_a_witness_counts_once_however_often_it_cosigned_and_its_latest_time_is_told() -> None:
    lines = [MEMBERS[0].cosign(TEXT, time_s) for time_s in (3, 9, 6)]
    with pytest.raises(QuorumError, match="1 known witnesses"):
        verify_checkpoint(
            note_of(LOGS[0].sign(TEXT), *lines), consortium_policy(2), check_signature
        )
    verified = verify_checkpoint(
        note_of(LOGS[0].sign(TEXT), *lines), consortium_policy(1), check_signature
    )
    assert verified.witnesses == (WitnessedAt(name=MEMBERS[0].name, time_s=9),)


def test_log_lines_are_no_cosignatures_however_many_there_are() -> None:
    note = note_of(*(signer.sign(TEXT) for signer in LOGS), MEMBERS[0].cosign(TEXT))
    with pytest.raises(QuorumError):
        verify_checkpoint(note, consortium_policy(2), check_signature)


def test_cosignatures_without_a_log_line_certify_nothing() -> None:
    note = note_of(*(member.cosign(TEXT) for member in MEMBERS))
    with pytest.raises(UnknownLogError):
        verify_checkpoint(note, consortium_policy(3), check_signature)


def test_a_plain_signature_of_a_cosigner_key_is_no_cosignature() -> None:
    note = note_of(LOGS[0].sign(TEXT), *(member.sign(TEXT) for member in MEMBERS))
    with pytest.raises(QuorumError, match="0 known witnesses"):
        verify_checkpoint(note, consortium_policy(1), check_signature)


def test_strangers_count_for_nothing() -> None:
    stranger_log = Signer(LOGS[0].name, "stranger")
    strangers = [Signer(member.name, "stranger") for member in MEMBERS]
    cosigned = [stranger.cosign(TEXT) for stranger in strangers]
    policy = consortium_policy(1)
    with pytest.raises(QuorumError):
        verify_checkpoint(note_of(LOGS[0].sign(TEXT), *cosigned), policy, check_signature)
    with pytest.raises(UnsignedNoteError):
        verify_checkpoint(note_of(stranger_log.sign(TEXT), *cosigned), policy, check_signature)


def test_signatures_over_another_root_of_the_same_size_are_refused() -> None:
    other = format_checkpoint(wrong_root_checkpoint())
    lines = [LOGS[0].sign(TEXT), *(member.cosign(TEXT) for member in MEMBERS)]
    with pytest.raises(BadSignatureError):
        verify_checkpoint(note_of(*lines, text=other), consortium_policy(3), check_signature)


def test_one_bad_line_of_a_listed_key_refuses_even_a_full_quorum() -> None:
    good = [LOGS[0].sign(TEXT), *(member.cosign(TEXT) for member in MEMBERS[:3])]
    line = MEMBERS[3].cosign(TEXT)
    bad = SignatureLine(name=line.name, key_id=line.key_id, signature=bytes(72))
    with pytest.raises(BadSignatureError):
        verify_checkpoint(note_of(*good, bad), consortium_policy(3), check_signature)


def test_a_listed_log_does_not_sign_for_another_origin() -> None:
    other_log = Signer("other.example/log", "other log")
    policy = replace(consortium_policy(1), logs=(log(LOGS[0]), log(other_log)))
    note = note_of(other_log.sign(TEXT), MEMBERS[0].cosign(TEXT))
    with pytest.raises(UnknownLogError):
        verify_checkpoint(note, policy, check_signature)


def test_a_note_that_is_no_checkpoint_is_malformed_before_any_signature_is_looked_at() -> None:
    text = TEXT + b"extension\n"
    with pytest.raises(MalformedError, match="no more"):
        verify_checkpoint(
            note_of(LOGS[0].sign(text), text=text), consortium_policy(1), check_signature
        )


def test_a_policy_without_quorum_asks_for_the_log_alone() -> None:
    policy = Policy(logs=(log(LOGS[0]),), witnesses=(), groups=(), quorum="none")
    verified = verify_checkpoint(note_of(LOGS[0].sign(TEXT)), policy, check_signature)
    assert verified.witnesses == ()


def test_groups_of_groups_are_counted_by_their_own_thresholds() -> None:
    east, west = MEMBERS[:2], MEMBERS[2:]
    policy = Policy(
        logs=(log(LOGS[0]),),
        witnesses=tuple(map(witness, MEMBERS)),
        groups=(
            Group(name="east", threshold=2, members=tuple(m.name for m in east)),
            Group(name="west", threshold=1, members=tuple(m.name for m in west)),
            Group(name="both", threshold=2, members=("east", "west")),
        ),
        quorum="both",
    )
    names = [member.name for member in MEMBERS]
    for count in range(5):
        for chosen in combinations(names, count):
            enough = set(names[:2]) <= set(chosen) and bool(set(names[2:]) & set(chosen))
            assert policy.quorum_met(chosen) == enough


def test_a_single_witness_may_be_the_quorum() -> None:
    policy = Policy(
        logs=(log(LOGS[0]),),
        witnesses=tuple(map(witness, MEMBERS)),
        groups=(),
        quorum=MEMBERS[2].name,
    )
    assert policy.quorum_met([MEMBERS[2].name])
    assert not policy.quorum_met([member.name for member in MEMBERS if member is not MEMBERS[2]])


def group(name: str, threshold: int, *members: str) -> Group:
    return Group(name=name, threshold=threshold, members=members)


@pytest.mark.parametrize(
    "groups",
    [
        (group("g", 0, "a"),),
        (group("g", 2, "a"),),
        (group("g", 1),),
        (group("g", 1, "a", "a"),),
        (group("g", 1, "unknown"),),
        (group("g", 1, "none"),),
        (group("g", 1, "g"),),
        (group("g", 1, "h"), group("h", 1, "a")),
        (group("g", 1, "a"), group("h", 1, "a", "b")),
        (group("g", 1, "a"), group("g", 1, "b")),
        (group("a", 1, "b"),),
        (group("none", 1, "b"),),
        (group("", 1, "b"),),
        (group("two words", 1, "b"),),
        (group("line\nquorum", 1, "b"),),
    ],
)
def test_groups_that_could_count_a_witness_twice_or_never_be_met_are_refused(
    groups: tuple[Group, ...],
) -> None:
    with pytest.raises(MalformedError, match="policy"):
        Policy(
            logs=(log(LOGS[0]),),
            witnesses=(witness(MEMBERS[0], "a"), witness(MEMBERS[1], "b")),
            groups=groups,
            quorum="none",
        )


def test_names_and_keys_are_listed_once_and_with_the_type_of_their_use() -> None:
    good = consortium_policy(3)
    twice_named = (witness(MEMBERS[0], "a"), witness(MEMBERS[1], "a"))
    one_key_twice = (witness(MEMBERS[0], "a"), witness(Signer("b", MEMBERS[0].seed), "b"))
    reserved = (witness(MEMBERS[0], "none"),)
    note_key = replace(witness(MEMBERS[0]), key=MEMBERS[0].verifier(SignatureType.NOTE))
    bad_url = replace(witness(MEMBERS[0]), url="two words")
    for witnesses in (twice_named, one_key_twice, reserved, (note_key,), (bad_url,)):
        with pytest.raises(MalformedError, match="policy"):
            Policy(logs=good.logs, witnesses=witnesses, groups=(), quorum="none")
    cosigner_key = Log(key=LOGS[0].verifier(SignatureType.COSIGNATURE), url=None)
    for logs in ((good.logs[0], good.logs[0]), (cosigner_key,)):
        with pytest.raises(MalformedError, match="policy"):
            replace(good, logs=logs)
    with pytest.raises(MalformedError, match="quorum"):
        replace(good, quorum="unknown")


def test_a_policy_holds_as_many_witnesses_as_its_bound_and_not_one_more() -> None:
    def policy_of(count: int) -> Policy:
        witnesses = tuple(witness(cosigner(number)) for number in range(count))
        return Policy(logs=(), witnesses=witnesses, groups=(), quorum="none")

    assert len(policy_of(POLICY_WITNESSES_MAX).witnesses) == POLICY_WITNESSES_MAX
    with pytest.raises(MalformedError, match="at most 256"):
        policy_of(POLICY_WITNESSES_MAX + 1)
