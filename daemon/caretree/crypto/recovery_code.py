"""The code of a recovery kit: printed once, kept on paper, typed back by hand.

28 characters of Crockford's base 32 in seven groups of four: 26 drawn at random, which are 130
bits, and two that check them: the first ten bits of SHA-256 of length-prefixed LABEL_CODE_CHECK and
the 26 (ASCII). Read back, small letters, spaces and hyphens do not matter, O is 0, and I and L are
1; U is in no code.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from caretree.crypto.framing import LABEL_CODE_CHECK, length_prefixed
from caretree.crypto.random_source import RandomSource
from caretree.model.errors import MalformedError

RANDOM_CHARACTERS: Final = 26
CODE_CHARACTERS: Final = 28
GROUP_CHARACTERS: Final = 4

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
_FIELD: Final = "recovery code"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryCode:
    """A code whose check characters are right; only `printed` shows it."""

    characters: str = field(repr=False)

    def printed(self) -> str:
        """The code as a person copies it: seven groups of four."""
        starts = range(0, CODE_CHARACTERS, GROUP_CHARACTERS)
        return "-".join(self.characters[at : at + GROUP_CHARACTERS] for at in starts)


def draw_recovery_code(random: RandomSource) -> RecoveryCode:
    """A fresh code of 130 random bits."""
    drawn = random.random_bytes(RANDOM_CHARACTERS)
    characters = "".join(_ALPHABET[byte % 32] for byte in drawn)  # 256 is a multiple of 32: no bias
    return RecoveryCode(characters=characters + _check_characters(characters))


def read_recovery_code(typed: str) -> RecoveryCode:
    """The code that a person typed.

    Raises:
        MalformedError: it is not a code, or a character is mistyped; never shows what was typed.
    """
    if not typed.isascii():
        raise MalformedError(_FIELD, "expected ASCII letters and digits")
    characters = typed.strip().upper().translate(_READ_AS)
    if len(characters) != CODE_CHARACTERS:
        expected = f"expected {CODE_CHARACTERS} characters, found {len(characters)}"
        raise MalformedError(_FIELD, expected)
    if any(character not in _ALPHABET for character in characters):
        raise MalformedError(_FIELD, "expected digits and letters other than U")
    if _check_characters(characters[:RANDOM_CHARACTERS]) != characters[RANDOM_CHARACTERS:]:
        raise MalformedError(_FIELD, "does not check; compare every group with the paper")
    return RecoveryCode(characters=characters)


def _check_characters(characters: str) -> str:
    framed = length_prefixed(LABEL_CODE_CHECK, characters.encode("ascii"))
    ten_bits = int.from_bytes(hashlib.sha256(framed).digest()[:2], "big") >> 6
    return _ALPHABET[ten_bits >> 5] + _ALPHABET[ten_bits & 31]
