"""The resident identity number of GB 11643.

Six digits of region, eight of birth date, three of sequence, and a check place.
"""

import re
from typing import Final

from caretree.model.errors import MalformedError

RESIDENT_NUMBER_SYSTEM: Final = "urn:oid:2.16.156.10011.1.3"

_SHAPE: Final = re.compile(r"[0-9]{17}[0-9X]")
_WEIGHTS: Final = tuple(pow(2, 17 - place, 11) for place in range(17))
_CHECK_PLACES: Final = "10X98765432"
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_YEAR_FIRST: Final = 1800
_YEAR_LAST: Final = 2199


def resident_check_place(first_17: str) -> str:
    """The check place of seventeen digits (ISO 7064, MOD 11-2): 0 to 9, or X for ten."""
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, first_17, strict=True))
    return _CHECK_PLACES[total % 11]


def check_resident_number(value: str, *, field: str) -> None:
    """Return when `value` has 18 places, a possible birth date and the right check place.

    Raises:
        MalformedError: naming `field`, never the value.
    """
    if _SHAPE.fullmatch(value) is None:
        raise MalformedError(field, "expected 18 places: 17 digits and a digit or X")
    if not _is_date(year=int(value[6:10]), month=int(value[10:12]), day=int(value[12:14])):
        raise MalformedError(field, "expected a birth date at places 7 to 14")
    if resident_check_place(value[:17]) != value[17]:
        raise MalformedError(field, "expected the check digit that belongs to the first 17 places")


def _is_date(*, year: int, month: int, day: int) -> bool:
    if not (_YEAR_FIRST <= year <= _YEAR_LAST and 1 <= month <= 12):
        return False
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = 28 if month == 2 and not leap else _DAYS[month - 1]
    return 1 <= day <= days
