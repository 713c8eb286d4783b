import hypothesis.strategies as st
import pytest
from caretree.crypto.resident_number import check_resident_number, resident_check_place
from caretree.model.errors import MalformedError
from hypothesis import given

REGION = "999999"  # assigned to no place


def number(birth_date: str = "19700101", sequence: str = "001") -> str:
    first_17 = REGION + birth_date + sequence
    return first_17 + resident_check_place(first_17)


def mod_11_10(value: str) -> int:
    """ISO 7064 MOD 11-2 from its definition: fold from the left, doubling; 1 is right."""
    total = 0
    for place in value:
        total = (total * 2 + (10 if place == "X" else int(place))) % 11
    return total


@given(st.from_regex(r"[0-9]{17}", fullmatch=True))
def test_the_check_place_satisfies_iso_7064(first_17: str) -> None:
    first_17 = first_17.encode("ascii", "ignore").decode()
    assert mod_11_10(first_17 + resident_check_place(first_17)) == 1


def test_all_eleven_check_places_occur() -> None:
    places = {resident_check_place(f"{REGION}19700101{sequence:03}") for sequence in range(50)}
    assert places == set("0123456789X")


@pytest.mark.parametrize(
    "birth_date", ["18000101", "19000228", "20000229", "19961231", "20240229", "21991231"]
)
def test_possible_birth_dates_are_taken(birth_date: str) -> None:
    check_resident_number(number(birth_date), field="patient.value")


@pytest.mark.parametrize(
    "birth_date",
    [
        "19000229",
        "20230229",
        "19700431",
        "19701301",
        "19700001",
        "19700100",
        "17991231",
        "22000101",
    ],
)
def test_impossible_birth_dates_are_refused(birth_date: str) -> None:
    with pytest.raises(MalformedError, match=r"patient\.value: expected a birth date"):
        check_resident_number(number(birth_date), field="patient.value")


@pytest.mark.parametrize("place", range(18))
def test_one_wrong_digit_is_noticed(place: int) -> None:
    right = number(sequence="123")
    wrong = right[:place] + str((int(right[place].replace("X", "0")) + 1) % 10) + right[place + 1 :]
    with pytest.raises(MalformedError):
        check_resident_number(wrong, field="patient.value")


@pytest.mark.parametrize("place", range(14, 17))
def test_two_swapped_neighbours_are_noticed(place: int) -> None:
    right = number(sequence="124")
    swapped = right[:place] + right[place + 1] + right[place] + right[place + 2 :]
    if swapped != right:
        with pytest.raises(MalformedError):
            check_resident_number(swapped, field="patient.value")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "99999919700101001",  # 17 places
        number() + "0",
        "99999970010100",  # the numbers of 15 places ended in 2013; this has 14
        "999999700101001",  # and this 15
        number()[:17] + "x",
        "X" + number()[1:],
        number()[:16] + "\u0661" + number()[17],  # an Arabic digit
        number() + "\n",
    ],
)
def test_other_shapes_are_refused(value: str) -> None:
    with pytest.raises(MalformedError, match="18 places"):
        check_resident_number(value, field="patient.value")


def test_no_error_shows_the_number() -> None:
    wrong = number()[:17] + ("0" if number()[17] != "0" else "1")
    with pytest.raises(MalformedError) as caught:
        check_resident_number(wrong, field="patient.value")
    assert wrong not in str(caught.value)
    assert wrong[6:14] not in str(caught.value)
