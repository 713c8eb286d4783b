"""Who a patient is: an identifier made uniform, and the pseudonym that stands for it.

    pseudonym = HMAC-SHA256(pseudonym key, length-prefixed system, uniform value), both in UTF-8

Two centres must reach the same pseudonym from the same card, on every release of Python. So a value
is refused when another release might treat it otherwise: characters that this release does not know
yet, and small letters that have no capital yet (a later Unicode version may give them one).
"""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from caretree.crypto.framing import LABEL_PSEUDONYM_SEAL, length_prefixed, u32
from caretree.crypto.keyed_hash import HashKey, keyed_digest
from caretree.crypto.resident_number import RESIDENT_NUMBER_SYSTEM, check_resident_number
from caretree.crypto.suite import check_key
from caretree.model.errors import MalformedError
from caretree.model.ids import MemberId, Pseudonym
from caretree.model.limits import IDENTIFIER_BYTES_MAX

SYSTEM_FIELD: Final = "patient.system"
VALUE_FIELD: Final = "patient.value"

_VISIBLE: Final = re.compile(r"[!-~]+")
_PRINTABLE: Final = re.compile(r"[ -~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientIdentifier:
    """A patient's identifier as `normalise_identifier` made it; its value is not in its repr."""

    system: str
    value: str = field(repr=False)


def normalise_identifier(*, system: str, value: str) -> PatientIdentifier:
    """The identifier with its value in NFKC, trimmed, in capitals.

    A resident number is checked in full. Doing it twice changes nothing.

    Raises:
        MalformedError: naming `patient.system` or `patient.value`, never the value.
    """
    _check_system(system)
    uniform = _uniform(value)
    if system == RESIDENT_NUMBER_SYSTEM:
        check_resident_number(uniform, field=VALUE_FIELD)
    return PatientIdentifier(system=system, value=uniform)


def pseudonym_of(pseudonym_key: HashKey, identifier: PatientIdentifier) -> Pseudonym:
    """The pseudonym of a patient under the pseudonym key of one epoch.

    Raises:
        MalformedError: the key has not 32 bytes.
    """
    if isinstance(pseudonym_key, bytes):
        check_key(pseudonym_key, field="pseudonym key")
    framed = length_prefixed(identifier.system.encode(), identifier.value.encode())
    return Pseudonym(keyed_digest(pseudonym_key, framed))


def pseudonym_key_seal_info(*, consortium: str, epoch: int, recipient: MemberId) -> bytes:
    """The HPKE info under which the pseudonym key of an epoch is sealed to a member.

    Length-prefixed LABEL_PSEUDONYM_SEAL, consortium's name, epoch (u32), recipient. The name and
    not the origin, for the sealed keys stand in the genesis, whose hash makes the origin.
    """
    return length_prefixed(
        LABEL_PSEUDONYM_SEAL, consortium.encode(), u32(epoch), recipient.encode()
    )


def _check_system(system: str) -> None:
    if len(system) > IDENTIFIER_BYTES_MAX or _VISIBLE.fullmatch(system) is None:
        expected = f"expected 1 to {IDENTIFIER_BYTES_MAX} visible ASCII characters"
        raise MalformedError(SYSTEM_FIELD, expected)


def _uniform(value: str) -> str:
    # A first bound, so that the work below is bounded too; one character is at least one byte.
    if len(value) > IDENTIFIER_BYTES_MAX:
        raise MalformedError(VALUE_FIELD, f"expected at most {IDENTIFIER_BYTES_MAX} bytes of UTF-8")
    if _PRINTABLE.fullmatch(value) is not None:
        # ASCII is in NFKC and has a capital for every small letter, so all below agrees: nearly
        # every value is of this sort, and telling so costs 2 us less.
        uniform = value.strip().upper()
        if uniform:
            return uniform
    capital = unicodedata.normalize("NFKC", value).strip().upper()
    # A capital may come decomposed out of upper(): composed again, the second time changes nothing.
    uniform = unicodedata.normalize("NFKC", capital)
    _check_characters(uniform)
    if not 1 <= len(uniform.encode()) <= IDENTIFIER_BYTES_MAX:
        raise MalformedError(VALUE_FIELD, f"expected 1 to {IDENTIFIER_BYTES_MAX} bytes of UTF-8")
    if any(unicodedata.category(character) == "Ll" for character in uniform):
        raise MalformedError(VALUE_FIELD, "expected no small letter without a capital")
    return uniform


def _check_characters(text: str) -> None:
    # Categories C*: control, invisible, private, unassigned characters and surrogates.
    if any(unicodedata.category(character).startswith("C") for character in text):
        raise MalformedError(VALUE_FIELD, "expected visible characters only")
