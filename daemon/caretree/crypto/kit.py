"""The recovery kit: what brings a member back on an empty machine, as text that can be printed.

    CARETREE RECOVERY KIT v1
    consortium: <name>
    member: <member id>
    <lines of 64 base64 characters, the last may be shorter>
    END CARETREE RECOVERY KIT

The base64 is a locked box (see locked) with LABEL_KIT, the code as passphrase (its 28 characters,
see recovery_code), and as context length-prefixed consortium and member. Inside stand fields (see
fields):

    1 member key's seed     32 bytes        4 storage key        32 bytes
    2 sealing key, private  32 bytes        5 certificate authority's private key, PEM
    3 member secret         32 bytes

No peer keys are in it, so nothing can be signed under an old peer's name. The pseudonym keys are
not in it either: the genesis holds them sealed to the sealing key. The storage key is, since a
copied data directory opens with it alone.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from caretree.crypto.ed25519 import SigningKey
from caretree.crypto.fields import decode_fields, encode_fields
from caretree.crypto.framing import LABEL_KIT, length_prefixed
from caretree.crypto.locked import BOX_BYTES_MAX, BoxKind, Passphrase, lock, unlock
from caretree.crypto.random_source import RandomSource
from caretree.crypto.recovery_code import RecoveryCode
from caretree.crypto.suite import NewerFormatError, check_key
from caretree.crypto.x25519 import SealingKey
from caretree.model.errors import MalformedError
from caretree.model.ids import MemberId, parse_consortium_name, parse_member_id
from caretree.model.limits import KIB

CA_KEY_PEM_BYTES_MAX: Final = 8 * KIB
KIT_CHARACTERS_MAX: Final = 2 * BOX_BYTES_MAX

_NAME: Final = "recovery kit"
_KIND: Final = BoxKind(
    label=LABEL_KIT,
    name=_NAME,
    advice="check that code and kit belong together, and that every line was copied",
)
_TITLE: Final = "CARETREE RECOVERY KIT v1"
_ANY_TITLE: Final = re.compile(r"CARETREE RECOVERY KIT v[0-9]{1,9}")
_END: Final = "END CARETREE RECOVERY KIT"
_LINE_CHARACTERS: Final = 64
_HEAD_LINES: Final = 3


class _Tag(IntEnum):
    MEMBER_KEY = 1
    SEALING_KEY = 2
    MEMBER_SECRET = 3
    STORAGE_KEY = 4
    CA_KEY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryKit:
    """What a recovery kit holds; a repr shows names and public keys only."""

    consortium: str
    member: MemberId
    member_key: SigningKey
    sealing_key: SealingKey
    member_secret: bytes = field(repr=False)
    storage_key: bytes = field(repr=False)
    ca_key_pem: bytes = field(repr=False)

    def __post_init__(self) -> None:
        parse_consortium_name(self.consortium)
        parse_member_id(self.member)
        check_key(self.member_secret, field="member secret")
        check_key(self.storage_key, field="storage key")
        if not 1 <= len(self.ca_key_pem) <= CA_KEY_PEM_BYTES_MAX:
            expected = f"expected 1 to {CA_KEY_PEM_BYTES_MAX} bytes of PEM"
            raise MalformedError("certificate authority's key", expected)


def encode_kit(kit: RecoveryKit, *, code: RecoveryCode, random: RandomSource) -> str:
    """The text of a kit, ending in a newline; it opens with the code alone."""
    box = lock(
        _KIND,
        key=Passphrase(text=code.characters),
        context=_context(consortium=kit.consortium, member=kit.member),
        plaintext=encode_fields(_fields(kit)),
        random=random,
    )
    encoded = base64.b64encode(box).decode("ascii")
    starts = range(0, len(encoded), _LINE_CHARACTERS)
    lines = [encoded[at : at + _LINE_CHARACTERS] for at in starts]
    head = [_TITLE, f"consortium: {kit.consortium}", f"member: {kit.member}"]
    return "\n".join([*head, *lines, _END, ""])


def decode_kit(text: str, *, code: RecoveryCode) -> RecoveryKit:
    """The kit in a text; blank lines, and spaces and carriage returns at line ends, do not matter.

    Raises:
        MalformedError: the text is cut, newer than this Caretree, or no kit.
        OpeningError: the code is another kit's, or a character was changed; says what to do.
    """
    lines = _lines(text)
    consortium = parse_consortium_name(_value(lines[1], name="consortium"))
    member = parse_member_id(_value(lines[2], name="member"))
    plaintext = unlock(
        _KIND,
        key=Passphrase(text=code.characters),
        context=_context(consortium=consortium, member=member),
        box=_base64("".join(lines[_HEAD_LINES:-1])),
    )
    values = decode_fields(plaintext, known=frozenset(_Tag), name=_NAME)
    for tag in sorted(frozenset(_Tag) - values.keys()):
        raise MalformedError(_NAME, f"lacks field {tag}")
    return _from_fields(values, consortium=consortium, member=member)


def _context(*, consortium: str, member: MemberId) -> bytes:
    return length_prefixed(consortium.encode(), member.encode())


def _fields(kit: RecoveryKit) -> dict[int, bytes]:
    return {
        _Tag.MEMBER_KEY: kit.member_key.seed,
        _Tag.SEALING_KEY: kit.sealing_key.private_key,
        _Tag.MEMBER_SECRET: kit.member_secret,
        _Tag.STORAGE_KEY: kit.storage_key,
        _Tag.CA_KEY: kit.ca_key_pem,
    }


def _from_fields(values: dict[int, bytes], *, consortium: str, member: MemberId) -> RecoveryKit:
    return RecoveryKit(
        consortium=consortium,
        member=member,
        member_key=SigningKey.from_seed(values[_Tag.MEMBER_KEY]),
        sealing_key=SealingKey.from_private(values[_Tag.SEALING_KEY]),
        member_secret=values[_Tag.MEMBER_SECRET],
        storage_key=values[_Tag.STORAGE_KEY],
        ca_key_pem=values[_Tag.CA_KEY],
    )


def _lines(text: str) -> list[str]:
    if len(text) > KIT_CHARACTERS_MAX:
        raise MalformedError(_NAME, f"expected at most {KIT_CHARACTERS_MAX} characters")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    title = lines[0] if lines else ""
    if title != _TITLE:
        if _ANY_TITLE.fullmatch(title):
            raise NewerFormatError(_NAME, f"expected {_TITLE!r}; upgrade Caretree to read this one")
        raise MalformedError(_NAME, f"expected the first line {_TITLE!r}")
    if lines[-1] != _END or len(lines) < _HEAD_LINES + 2:
        raise MalformedError(_NAME, f"expected the last line {_END!r}; the kit is cut")
    return lines


def _value(line: str, *, name: str) -> str:
    label, separator, value = line.partition(": ")
    if label != name or not separator:
        raise MalformedError(_NAME, f"expected a line '{name}: ...'")
    return value


def _base64(encoded: str) -> bytes:
    try:
        decoded = base64.b64decode(encoded.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise MalformedError(_NAME, "expected lines of base64") from None
    # The unused bits of the last character are zero, else two texts would be one kit.
    if base64.b64encode(decoded).decode("ascii") != encoded:
        raise MalformedError(_NAME, "expected lines of base64 in its canonical form")
    return decoded
