"""What may stand in a log line: secrets and patients' identifiers are taken out of everything else.

Two nets, one behind the other. Rooms log no such value in the first place (STYLE 11); what slips
through is caught here by the name it stands under, or by what it looks like. Only plain values are
shown: of an object of ours nothing but its type, since its repr could hold anything.
"""

import re
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Final

REDACTED: Final = "[redacted]"
TEXT_CHARS_MAX: Final = 1024
ITEMS_MAX: Final = 32
DEPTH_MAX: Final = 4
_BITS_MAX: Final = 64  # what every reader of JSON can hold, a sign included

# A key with one of these words in it, `patient_system` for example, is not shown.
_DENIED_WORDS: Final = frozenset(
    {"authorization", "birth", "body", "ciphertext", "code", "content", "cookie", "credential"}
    | {"credentials", "identifier", "identifiers", "key", "keyring", "keys", "kit", "name"}
    | {"names", "passphrase", "password", "patient", "patients", "payload", "person", "phone"}
    | {"plaintext", "pseudonym", "pseudonyms", "salt", "salts", "secret", "secrets", "seed"}
    | {"token", "tokens"}
)
_ALLOWED_KEYS: Final = frozenset({"display_name", "exit_code", "grpc_code", "logger_name"})

# \d is any script's digit: full-width ones are typed into record systems too.
_RESIDENT_NUMBER: Final = re.compile(r"(?<!\d)\d{17}[\dXx\uff38\uff58](?!\d)")
# 32 bytes and more; a shown id is shorter.
_HEX: Final = re.compile(r"[0-9A-Fa-f]{64,}")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{43,}={0,2}")

LogValue = str | int | float | bool | list["LogValue"] | dict[str, "LogValue"] | None


def redact_field(key: str, value: object, *, depth: int = 0) -> LogValue:
    """What may be shown of a value that is logged under `key`."""
    words = re.split(r"[^a-z]+", key.lower())
    if key not in _ALLOWED_KEYS and not _DENIED_WORDS.isdisjoint(words):
        return REDACTED
    return redact(value, depth=depth)


def redact(value: object, *, depth: int = 0) -> LogValue:
    """What may be shown of a value: plain, bounded, without anything that looks secret."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, int):
        return _redact_number(value)
    if isinstance(value, str | PurePath):
        return redact_text(str(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    return _redact_collection(value, depth=depth + 1)


def redact_text(text: str) -> str:
    """The text without what looks like a resident number or a key, cut to its bound."""
    # Cut first, with room for a match at the edge: the patterns then see a bounded text.
    shown = text[: 2 * TEXT_CHARS_MAX]
    shown = _RESIDENT_NUMBER.sub(REDACTED, shown)
    shown = _HEX.sub(REDACTED, shown)
    shown = _BASE64.sub(_redact_base64, shown)
    if len(shown) <= TEXT_CHARS_MAX and len(text) <= 2 * TEXT_CHARS_MAX:
        return shown
    return f"{shown[:TEXT_CHARS_MAX]}[cut]"


def _redact_base64(match: re.Match[str]) -> str:
    # Random base64 of this length without upper or without lower case does not occur; a path does.
    text = match.group()
    return text if text in {text.lower(), text.upper()} else REDACTED


def _redact_number(number: int) -> LogValue:
    if number.bit_length() >= _BITS_MAX:
        return f"[a number of {number.bit_length()} bits]"
    return REDACTED if _RESIDENT_NUMBER.fullmatch(str(abs(number))) else int(number)


def _redact_collection(value: object, *, depth: int) -> LogValue:
    if isinstance(value, Mapping | list | tuple | set | frozenset) and depth <= DEPTH_MAX:
        if isinstance(value, Mapping):
            items = list(value.items())[:ITEMS_MAX]
            return {
                redact_text(str(key)): redact_field(str(key), item, depth=depth)
                for key, item in items
            }
        return [redact(item, depth=depth) for item in list(value)[:ITEMS_MAX]]
    return f"<{type(value).__name__}>"
