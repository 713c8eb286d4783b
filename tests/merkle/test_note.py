"""Signed notes are read strictly, written back byte for byte, and opened only by trusted keys."""

import pytest
from caretree.merkle.keys import SignatureType, VerifierKey
from caretree.merkle.lines import SignatureLine, format_line, parse_line
from caretree.merkle.note import (
    NOTE_BYTES_MAX,
    SIGNATURE_LINES_MAX,
    BadSignatureError,
    Note,
    UnsignedNoteError,
    format_note,
    open_note,
    parse_note,
    verify_line,
)
from caretree.model.errors import MalformedError, VerificationError
from caretree.model.limits import MEMBERS_MAX, VOTERS_MAX
from hypothesis import given
from hypothesis import strategies as st

from tests.merkle.builders import Signer, check_signature, cosigner

TEXT = b"Blood pressure was measured today.\n\nTwice.\n"
SIGNER = Signer("clinic.example/notes", "note")
DASH = "\u2014"


def signed(*lines: SignatureLine, text: bytes = TEXT) -> Note:
    return Note(text=text, lines=lines)


def trusted(*signers: Signer) -> list[VerifierKey]:
    return [signer.verifier(SignatureType.NOTE) for signer in signers]


def test_a_note_signed_by_a_trusted_key_is_opened_and_written_back_exactly() -> None:
    note = signed(SIGNER.sign(TEXT))
    content = format_note(note)
    assert content.startswith(TEXT + b"\n" + f"{DASH} clinic.example/notes ".encode())
    assert parse_note(content) == note
    assert format_note(parse_note(content)) == content
    opened = open_note(parse_note(content), trusted(SIGNER), check_signature)
    assert opened.text == TEXT
    assert [line.key.name for line in opened.verified] == ["clinic.example/notes"]
    assert opened.unverified == ()


@given(
    st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]) | st.just("\n")),
    st.lists(st.binary(min_size=5, max_size=90), min_size=1, max_size=20),
)
def test_any_text_and_lines_come_back(text: str, contents: list[bytes]) -> None:
    note = signed(
        *(
            SignatureLine(name=f"key-{number}", key_id=content[:4], signature=content[4:])
            for number, content in enumerate(contents)
        ),
        text=f"{text}\n".encode(),
    )
    assert parse_note(format_note(note)) == note


def test_the_last_empty_line_divides_text_from_signatures() -> None:
    line = format_line(SIGNER.sign(TEXT)).encode()
    assert parse_note(b"a\n\nb\n\n" + line).text == b"a\n\nb\n"
    assert parse_note(b"a\n\n\n" + line).text == b"a\n\n"
    assert parse_note(b"\n\n" + line).text == b"\n"


LINE = f"{DASH} key AAAAAAA="


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n",
        "text\n",
        "text\n\n",
        "text\n\n\n",
        f"text\n{LINE}\n",
        f"{LINE}\n",
        f"\n{LINE}\n",
        f"text\n\n{LINE}",
        f"text\n\n{LINE}\n\n",
        f"text\n\n{LINE}\ntrailing\n",
        f"text\n\n{LINE} \n",
        f"text\n\n {LINE}\n",
        f"text\r\n\r\n{LINE}\r\n",
        f"te\tt\n\n{LINE}\n",
        f"te\x00t\n\n{LINE}\n",
        f"te\x1ft\n\n{LINE}\n",
        "text\n\n- key AAAAAAA=\n",
        f"text\n\n{DASH}key AAAAAAA=\n",
        f"text\n\n{DASH} key\n",
        f"text\n\n{DASH} key \n",
        f"text\n\n{DASH}  AAAAAAA=\n",
        f"text\n\n{DASH} ke+y AAAAAAA=\n",
        f"text\n\n{DASH} ke y AAAAAAA=\n",
        f"text\n\n{DASH} ke\u2003y AAAAAAA=\n",
        f"text\n\n{DASH} key AAAA\n",
        f"text\n\n{DASH} key AAAAAA==\n",
        f"text\n\n{DASH} key AAAAAAB=\n",
        f"text\n\n{DASH} key AAAAAAA\n",
        f"text\n\n{DASH} key AAAA-_A=\n",
    ],
)
def test_what_breaks_a_rule_of_the_format_is_refused(content: str) -> None:
    with pytest.raises(MalformedError):
        parse_note(content.encode())


@pytest.mark.parametrize("bad", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x80"])
def test_what_is_not_utf_8_is_refused(bad: bytes) -> None:
    with pytest.raises(MalformedError, match="UTF-8"):
        parse_note(b"te" + bad + b"t\n\n" + f"{LINE}\n".encode())


def test_a_hundred_signature_lines_are_read_and_one_more_is_refused() -> None:
    lines = f"{LINE}\n" * SIGNATURE_LINES_MAX
    assert len(parse_note(f"text\n\n{lines}".encode()).lines) == SIGNATURE_LINES_MAX
    with pytest.raises(MalformedError, match="at most 100"):
        parse_note(f"text\n\n{lines}{LINE}\n".encode())


def test_the_limits_hold_the_lines_of_the_largest_consortium_and_one_mebibyte() -> None:
    assert MEMBERS_MAX + VOTERS_MAX <= SIGNATURE_LINES_MAX == 100
    assert NOTE_BYTES_MAX == 1024 * 1024


def test_a_note_of_the_largest_length_is_read_and_one_byte_more_is_refused() -> None:
    end = f"\n\n{LINE}\n".encode()
    largest = b"x" * (NOTE_BYTES_MAX - len(end)) + end
    assert len(parse_note(largest).text) == NOTE_BYTES_MAX - len(end) + 1
    with pytest.raises(MalformedError, match="at most"):
        parse_note(b"x" + largest)


def test_lines_of_unknown_keys_are_set_apart_even_when_name_or_id_is_known() -> None:
    good = SIGNER.sign(TEXT)
    same_name = SignatureLine(name=good.name, key_id=b"\0\0\0\0", signature=bytes(64))
    same_id = SignatureLine(name="other.example", key_id=good.key_id, signature=b"?")
    opened = open_note(signed(same_name, good, same_id), trusted(SIGNER), check_signature)
    assert [line.line for line in opened.verified] == [good]
    assert opened.unverified == (same_name, same_id)


def test_one_bad_line_of_a_trusted_key_refuses_the_whole_note() -> None:
    other = Signer("second.example", "second")
    stolen = other.sign(b"another text\n")
    with pytest.raises(BadSignatureError, match=r"second\.example") as refusal:
        open_note(signed(SIGNER.sign(TEXT), stolen), trusted(SIGNER, other), check_signature)
    assert refusal.value.line == stolen


@pytest.mark.parametrize("length", [1, 63, 65, 72])
def test_a_line_of_wrong_length_by_a_trusted_key_refuses_the_note(length: int) -> None:
    line = SIGNER.sign(TEXT)
    content = (line.signature * 2)[:length]
    bent = SignatureLine(name=line.name, key_id=line.key_id, signature=content)
    with pytest.raises(BadSignatureError):
        open_note(signed(bent), trusted(SIGNER), check_signature)


def test_a_note_without_a_trusted_key_is_not_opened() -> None:
    note = signed(SIGNER.sign(TEXT))
    for keys in ([], trusted(Signer(SIGNER.name, "other key")), trusted(Signer("x", SIGNER.seed))):
        with pytest.raises(UnsignedNoteError):
            open_note(note, keys, check_signature)


def test_a_changed_text_is_not_opened() -> None:
    note = signed(SIGNER.sign(TEXT), text=TEXT.replace(b"Twice", b"Never"))
    with pytest.raises(BadSignatureError):
        open_note(note, trusted(SIGNER), check_signature)


def test_the_same_key_listed_twice_is_one_key_and_two_keys_with_one_id_are_refused() -> None:
    key = SIGNER.verifier(SignatureType.NOTE)
    note = signed(SIGNER.sign(TEXT))
    assert len(open_note(note, [key, key], check_signature).verified) == 1
    twin = Signer(SIGNER.name, "twin").verifier(SignatureType.NOTE)
    object.__setattr__(twin, "key_id", key.key_id)
    with pytest.raises(MalformedError, match="verifiers"):
        open_note(note, [key, twin], check_signature)


def test_a_key_of_one_type_does_not_open_a_line_of_the_other() -> None:
    member = cosigner(1)
    with pytest.raises(UnsignedNoteError):
        open_note(signed(member.cosign(TEXT)), trusted(member), check_signature)
    with pytest.raises(UnsignedNoteError):
        open_note(
            signed(member.sign(TEXT)),
            [member.verifier(SignatureType.COSIGNATURE)],
            check_signature,
        )


def test_a_line_is_not_verified_under_a_key_that_it_does_not_name() -> None:
    other = Signer("other.example", SIGNER.seed).verifier(SignatureType.NOTE)
    with pytest.raises(BadSignatureError):
        verify_line(SIGNER.sign(TEXT), text=TEXT, key=other, check=check_signature)


def test_a_signature_line_comes_back() -> None:
    line = SIGNER.sign(TEXT)
    assert parse_line(format_line(line).removesuffix("\n")) == line
    assert issubclass(BadSignatureError, VerificationError)
