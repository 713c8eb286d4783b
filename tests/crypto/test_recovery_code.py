import hypothesis.strategies as st
import pytest
from caretree.crypto.recovery_code import draw_recovery_code, read_recovery_code
from caretree.model.errors import MalformedError
from hypothesis import given

from tests.crypto.builders import FixedRandom

CODE = draw_recovery_code(FixedRandom("code"))
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def test_a_code_is_printed_in_seven_groups_of_four() -> None:
    groups = CODE.printed().split("-")
    assert [len(group) for group in groups] == [4] * 7
    assert "".join(groups) == CODE.characters


def test_known_answer_of_a_code() -> None:
    assert CODE.printed() == "SXXG-R2SP-J04H-8C42-X3M3-NMDE-EFPR"


def test_a_code_is_read_as_a_person_types_it() -> None:
    codes = (draw_recovery_code(FixedRandom(f"code {number}")) for number in range(60))
    code = next(code for code in codes if {"0", "1"} <= set(code.characters))
    for typed in (
        code.printed(),
        code.printed().lower(),
        f"  {code.characters}\n",
        code.printed().replace("-", " "),
        code.printed().replace("0", "O").replace("1", "l"),
        code.printed().replace("0", "o").replace("1", "I"),
        code.printed().lower().replace("1", "i"),
    ):
        assert read_recovery_code(typed).characters == code.characters


def test_every_character_occurs_and_codes_differ() -> None:
    codes = [draw_recovery_code(FixedRandom(f"code {number}")) for number in range(60)]
    assert len({code.characters for code in codes}) == 60
    assert {character for code in codes for character in code.characters} == set(ALPHABET)


def test_every_single_mistyped_character_is_refused_or_checked_by_ten_bits() -> None:
    refused = 0
    for place in range(28):
        for character in ALPHABET.replace(CODE.characters[place], ""):
            typed = CODE.characters[:place] + character + CODE.characters[place + 1 :]
            try:
                read_recovery_code(typed)
            except MalformedError:
                refused += 1
    # Ten bits let about one in a thousand through; the kit itself then does not open.
    assert refused >= 28 * 31 - 5


@pytest.mark.parametrize(
    "typed",
    ["", "-", CODE.printed()[:-1], CODE.printed() + "0", "U" + CODE.printed()[1:], "\uff21" * 28],
)
def test_what_is_no_code_is_refused_without_being_shown(typed: str) -> None:
    with pytest.raises(MalformedError, match="recovery code") as caught:
        read_recovery_code(typed)
    assert len(typed) < 2 or typed not in str(caught.value)


@given(st.text(max_size=40))
def test_arbitrary_text_gives_only_our_error(typed: str) -> None:
    with pytest.raises(MalformedError):
        read_recovery_code(typed)


def test_a_code_is_not_shown_by_accident() -> None:
    assert CODE.characters not in repr(CODE)
    assert CODE.printed() not in str(CODE)
