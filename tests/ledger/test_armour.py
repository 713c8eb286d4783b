import pytest
from caretree.ledger.armour import ARMOUR_BYTES_MAX, Armour, format_armour, parse_armour
from caretree.model.errors import MalformedError
from hypothesis import given
from hypothesis import strategies as st

CONTENT = bytes(range(100))
FILE = format_armour(Armour.INVITATION, CONTENT)


def test_a_file_says_what_it_is_and_ends_with_its_checksum() -> None:
    lines = FILE.decode().splitlines()

    assert lines == [
        "caretree invitation v1",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v",
        "MDEyMzQ1Njc4OTo7PD0+P0BBQkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5f",
        "YGFiYw==",
        "sha256 3684c915da6e0cb1",
    ]


@pytest.mark.parametrize("kind", Armour)
def test_every_kind_is_read_back_as_written(kind: Armour) -> None:
    assert parse_armour(kind, format_armour(kind, CONTENT)) == CONTENT
    assert parse_armour(kind, format_armour(kind, b"")) == b""


def test_windows_line_ends_and_empty_lines_do_no_harm() -> None:
    mailed = b"\r\n" + FILE.replace(b"\n", b" \r\n") + b"\r\n"

    assert parse_armour(Armour.INVITATION, mailed) == CONTENT


@pytest.mark.parametrize("kind", [kind for kind in Armour if kind is not Armour.INVITATION])
def test_one_kind_of_file_does_not_pass_for_another(kind: Armour) -> None:
    with pytest.raises(MalformedError, match="expected a file that begins"):
        parse_armour(kind, FILE)
    renamed = FILE.replace(Armour.INVITATION.value.encode(), kind.value.encode())
    with pytest.raises(MalformedError, match="checksum differs"):
        parse_armour(kind, renamed)


def test_a_newer_file_is_refused() -> None:
    with pytest.raises(MalformedError, match="begins 'caretree invitation v1'"):
        parse_armour(Armour.INVITATION, FILE.replace(b"v1", b"v2"))


def test_a_cut_file_is_refused() -> None:
    for end in range(len(FILE) - 1):
        with pytest.raises(MalformedError):
            parse_armour(Armour.INVITATION, FILE[:end])


def test_a_changed_character_is_refused() -> None:
    for place in range(len(FILE) - 1):
        changed = bytearray(FILE)
        changed[place] = ord("A") if changed[place] != ord("A") else ord("B")
        with pytest.raises(MalformedError):
            parse_armour(Armour.INVITATION, bytes(changed))


def test_a_file_has_at_most_1_mib() -> None:
    with pytest.raises(MalformedError, match=f"at most {ARMOUR_BYTES_MAX} bytes"):
        parse_armour(Armour.INVITATION, bytes(ARMOUR_BYTES_MAX + 1))
    with pytest.raises(MalformedError, match="expected a file that begins"):
        parse_armour(Armour.INVITATION, b"\n" * ARMOUR_BYTES_MAX)


@given(st.one_of(st.binary(max_size=200), st.text(max_size=100).map(str.encode)))
def test_arbitrary_bytes_are_refused_as_malformed(content: bytes) -> None:
    for file in (content, b"caretree invitation v1\n" + content + b"\nsha256 00\n"):
        with pytest.raises(MalformedError):
            parse_armour(Armour.INVITATION, file)
