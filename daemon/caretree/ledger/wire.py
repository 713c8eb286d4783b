"""Strict parsing of protobuf messages, and the checks that several codecs share.

Protobuf has many spellings of one message. Stored and signed bytes are never re-encoded, so the
order of fields does not matter, but whoever sends may hide nothing in them: unknown fields, fields
given twice, defaults written out and stretched numbers are all refused. Each of these makes the
bytes longer than the fields need, so one comparison of lengths finds them all. That length follows
from the wire format alone, hence every release of the library decides the same.

One spelling is shorter than that length: a single number of a packed field, written unpacked. The
byte that it saves could hide a stretched tag, which releases need not judge alike, so whoever
parses a message with a packed field asks `check_packed` too.
"""

import re
from collections.abc import Collection, Hashable, Sequence
from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message

from caretree.crypto.suite import FORMAT_VERSION, SUITE_1, check_suite, check_version
from caretree.model.errors import MalformedError

MessageT = TypeVar("MessageT", bound=Message)

_KNOWN_FORMAT: Final = (FORMAT_VERSION, SUITE_1)
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]+")
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")

# Protobuf's wire format: a tag is the field's number and three bits of wire type.
_WIRE_TYPE_BITS: Final = 3
_WIRE_TYPE_MASK: Final = 7
_LENGTH_DELIMITED: Final = 2
_MORE_BYTES: Final = 0x80
_VARINT_BYTES_MAX: Final = 10


def parse_strict(kind: type[MessageT], encoded: bytes, *, field: str) -> MessageT:
    """The message, when its bytes hold nothing but its fields, each once, as short as can be.

    Raises:
        MalformedError: otherwise; names `field`.
    """
    try:
        message = kind.FromString(encoded)
    except DecodeError:
        raise MalformedError(field, f"expected a {kind.DESCRIPTOR.full_name} message") from None
    message.DiscardUnknownFields()
    if message.ByteSize() != len(encoded):
        raise MalformedError(field, "expected no unknown, repeated or redundant fields")
    return message


def check_packed(encoded: bytes, *, path: Sequence[int], number: int, field: str) -> None:
    """Return when field `number` of the message at `path` is absent or one length-delimited field.

    On the way there every tag and number is as short as can be, and every field stands once.
    Requires a message that `parse_strict` took.

    Raises:
        MalformedError: otherwise; names `field`.
    """
    for step in (*path, number):
        encoded = _delimited(encoded, step, field=field)


def check_format(version: int, suite: int, *, field: str) -> None:
    """Return when this Caretree reads this format version and has this suite's algorithms.

    Raises:
        MalformedError: a newer version, one that never was, or an unknown suite.
    """
    if (version, suite) != _KNOWN_FORMAT:
        check_version(version, field=f"{field}.version")
        check_suite(suite, field=f"{field}.suite")


def check_length(content: bytes, length: int, *, field: str) -> bytes:
    """The content itself, when it has this length.

    Raises:
        MalformedError: otherwise; names `field`.
    """
    if len(content) != length:
        raise MalformedError(field, f"expected {length} bytes, found {len(content)}")
    return content


def check_at_most(count: int, most: int, *, field: str, unit: str) -> None:
    """Return when there are no more than `most`.

    Raises:
        MalformedError: otherwise; names `field`.
    """
    if count > most:
        raise MalformedError(field, f"expected at most {most} {unit}, found {count}")


def check_range(number: int, *, least: int, most: int, field: str) -> int:
    """The number itself, when it is from `least` to `most`.

    Raises:
        MalformedError: otherwise; names `field`.
    """
    if not least <= number <= most:
        raise MalformedError(field, f"expected {least} to {most}, found {number}")
    return number


def check_unique(values: Collection[Hashable], *, field: str) -> None:
    """Return when no value stands twice.

    Raises:
        MalformedError: otherwise; names `field`.
    """
    if len(set(values)) != len(values):
        raise MalformedError(field, "expected each one once")


def check_printable(text: str, *, length_max: int, field: str) -> str:
    """The text itself, when it is 1 to `length_max` printable ASCII characters, spaces allowed.

    Raises:
        MalformedError: otherwise; names `field`.
    """
    if len(text) > length_max or _PRINTABLE.fullmatch(text) is None:
        raise MalformedError(field, f"expected 1 to {length_max} printable ASCII characters")
    return text


def check_visible(text: str, *, length_max: int, field: str) -> str:
    """The text itself, when it is 1 to `length_max` visible ASCII characters.

    Raises:
        MalformedError: otherwise; names `field`.
    """
    if len(text) > length_max or _VISIBLE.fullmatch(text) is None:
        raise MalformedError(field, f"expected 1 to {length_max} visible ASCII characters")
    return text


def _delimited(encoded: bytes, number: int, *, field: str) -> bytes:
    """What the length-delimited field holds; nothing when it is absent."""
    found: list[bytes] = []
    at = 0
    while at < len(encoded):
        tag, at = _varint(encoded, at, field=field)
        value, start = _varint(encoded, at, field=field)
        at = start + value if tag & _WIRE_TYPE_MASK == _LENGTH_DELIMITED else start
        if tag >> _WIRE_TYPE_BITS == number:
            found.append(encoded[start:at])
            if tag & _WIRE_TYPE_MASK != _LENGTH_DELIMITED or len(found) > 1:
                raise MalformedError(field, "expected one packed field")
    return found[0] if found else b""


def _varint(encoded: bytes, at: int, *, field: str) -> tuple[int, int]:
    """The number at this offset, and the offset behind it."""
    number = shift = 0
    for end in range(at, min(at + _VARINT_BYTES_MAX, len(encoded))):
        number |= (encoded[end] & 0x7F) << shift
        shift += 7
        if encoded[end] < _MORE_BYTES:
            if encoded[end] == 0 and end > at:
                break
            return number, end + 1
    raise MalformedError(field, "expected numbers as short as can be before it")
