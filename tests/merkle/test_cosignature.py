"""A cosignature covers its time and the whole checkpoint text."""

import pytest
from caretree.merkle.cosignature import (
    TIME_S_MAX,
    Cosignature,
    cosignature_message,
    decode_cosignature,
    encode_cosignature,
    verify_cosignature,
)
from caretree.merkle.keys import SignatureType
from caretree.merkle.note import BadSignatureError, Note, open_note
from caretree.model.errors import MalformedError, VerificationError

from tests.merkle.builders import check_signature, cosigner

TEXT = b"log.example\n7\nroot\n"
MEMBER = cosigner(3)


def test_the_message_is_header_time_and_text() -> None:
    assert cosignature_message(TEXT, time_s=1679315147) == (
        b"cosignature/v1\ntime 1679315147\n" + TEXT
    )
    assert cosignature_message(b"", time_s=0) == b"cosignature/v1\ntime 0\n"


@pytest.mark.parametrize("time_s", [0, 1, 1_760_000_000, TIME_S_MAX])
def test_a_cosignature_is_eight_bytes_of_time_and_the_signature(time_s: int) -> None:
    cosignature = Cosignature(time_s=time_s, signature=bytes(range(64)))
    content = encode_cosignature(cosignature)
    assert content == time_s.to_bytes(8, "big") + bytes(range(64))
    assert decode_cosignature(content) == cosignature


@pytest.mark.parametrize("length", [0, 8, 64, 71, 73, 2428])
def test_a_cosignature_of_another_length_is_malformed(length: int) -> None:
    with pytest.raises(MalformedError, match="72 bytes"):
        decode_cosignature(bytes(length))


def test_a_time_beyond_the_bound_is_malformed() -> None:
    with pytest.raises(MalformedError, match="time"):
        decode_cosignature((TIME_S_MAX + 1).to_bytes(8, "big") + bytes(64))


@pytest.mark.parametrize("time_s", [-1, TIME_S_MAX + 1])
def test_a_time_out_of_bounds_is_never_signed(time_s: int) -> None:
    with pytest.raises(AssertionError):
        MEMBER.cosign(TEXT, time_s)


def test_a_cosigned_note_is_opened_with_the_time_of_the_cosigner() -> None:
    note = Note(text=TEXT, lines=(MEMBER.cosign(TEXT, 1_700_000_001),))
    opened = open_note(note, [MEMBER.verifier(SignatureType.COSIGNATURE)], check_signature)
    assert [(line.key.name, line.time_s) for line in opened.verified] == [
        (MEMBER.name, 1_700_000_001)
    ]


def test_changing_time_text_or_signature_breaks_a_cosignature() -> None:
    content = MEMBER.cosign(TEXT, 5).signature
    key = MEMBER.public_key
    assert verify_cosignature(content, text=TEXT, public_key=key, check=check_signature) == 5
    later = (6).to_bytes(8, "big") + content[8:]
    spoilt = content[:-1] + bytes([content[-1] ^ 1])
    for changed, text in [(later, TEXT), (spoilt, TEXT), (content, TEXT + b"extension\n")]:
        with pytest.raises(VerificationError):
            verify_cosignature(changed, text=text, public_key=key, check=check_signature)


def test_a_note_with_a_cosignature_of_wrong_form_by_a_known_key_is_refused() -> None:
    line = MEMBER.cosign(TEXT)
    bent = type(line)(name=line.name, key_id=line.key_id, signature=line.signature[:-1])
    with pytest.raises(BadSignatureError):
        open_note(
            Note(text=TEXT, lines=(bent,)),
            [MEMBER.verifier(SignatureType.COSIGNATURE)],
            check_signature,
        )
