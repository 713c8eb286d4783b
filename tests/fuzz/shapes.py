"""Changes that keep a format's shape, so that what lies behind its outer checks is reached too.

A protobuf message is taken apart into its fields, messages within fields too, changed there and
put together with lengths that fit. A text is changed line by line; its base64 is decoded, changed
and encoded again.
"""

import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Final, TypeAlias

from tests.fuzz.mutating import NUMBERS, change_bytes
from tests.fuzz.target import CANARY

_DEPTH_MAX: Final = 6
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES: Final = {_FIXED64: 8, _FIXED32: 4}
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]{8,}={0,2}")
_NUMBER: Final = re.compile(rb"[0-9]+")
_WORD: Final = re.compile(rb"[\w.-]{2,}")
_BLANKS: Final = tuple(
    blank.encode() for blank in (" ", "\t", "\r", "\x0b", "\x00", "\u00a0", "\u2003", "\u200b")
)
# What a person takes for the same sign, and a format must not.
LOOKALIKES: Final = tuple(
    (one.encode(), other.encode())
    for one, other in (
        ("\u2014", "-"), ("\u2014", "\u2013"), ("a", "\u0430"), ("e", "\u0435"), ("o", "\u043e"),
        ("1", "\uff11"), ("0", "\u0660"), ("/", "\u2044"), (" ", "\u00a0"), ("=", "\uff1d"),
        ("+", "\uff0b"), (".", "\u2024"), ("\n", "\r\n"), ("\n", "\r"), ("\n", "\u2028"),
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """A field on the wire: a number, bytes, or a message that the bytes are."""

    number: int
    wire: int
    value: "int | bytes | Fields"


Fields: TypeAlias = tuple[Field, ...]


def change_proto(random: Random, data: bytes) -> bytes:
    """The message with one field changed, at any depth; bytes that are none changed as bytes."""
    fields = read_fields(data)
    if not fields:
        return change_bytes(random, data)
    return write_fields(_change_fields(random, fields), random=random)


def read_fields(data: bytes, *, depth: int = 0) -> Fields | None:
    """The fields of a message; None when the bytes are none."""
    fields: list[Field] = []
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number == 0 or at < 0:
            return None
        value: int | bytes | Fields
        if wire == _VARINT:
            value, at = _read_varint(data, at)
        elif wire == _DELIMITED:
            length, at = _read_varint(data, at)
            value, at = data[at : at + length], at + length
            inner = read_fields(value, depth=depth + 1) if value and depth < _DEPTH_MAX else None
            value = inner or value
        elif wire in _FIXED_BYTES:
            value, at = data[at : at + _FIXED_BYTES[wire]], at + _FIXED_BYTES[wire]
        else:
            return None
        if not 0 <= at <= len(data):
            return None
        fields.append(Field(number, wire, value))
    return tuple(fields)


def write_fields(fields: Fields, *, random: Random | None = None) -> bytes:
    """The message of these fields; with `random`, a number is now and then stretched."""
    parts: list[bytes] = []
    for field in fields:
        parts.append(_write_varint(field.number << 3 | field.wire, random))
        match field.value:
            case int():
                parts.append(_write_varint(field.value, random))
            case bytes():
                length = _write_varint(len(field.value), random)
                parts += [length, field.value] if field.wire == _DELIMITED else [field.value]
            case _:
                inner = write_fields(field.value, random=random)
                parts += [_write_varint(len(inner), random), inner]
    return b"".join(parts)


def _change_fields(random: Random, fields: Fields) -> Fields:
    at = random.randrange(len(fields))
    field = fields[at]
    head, tail = fields[:at], fields[at + 1 :]
    if isinstance(field.value, tuple) and random.random() < 0.7:
        return (*head, replace(field, value=_change_fields(random, field.value)), *tail)
    changed: Fields
    match random.randrange(8):
        case 0:
            changed = ()
        case 1:
            changed = (field,) * random.choice((2, 3, 300))
        case 2:
            other = fields[random.randrange(len(fields))]
            changed = (replace(field, value=other.value, wire=other.wire),)
        case 3:
            changed = (replace(field, number=random.randint(1, 40)),)
        case 4:
            changed = (field, Field(random.randint(1, 2**29 - 1), _VARINT, 7))
        case 5:
            head, tail, changed = tail, head, (field,)
        case _:
            changed = (_change_value(random, field),)
    return (*head, *changed, *tail)


def _change_value(random: Random, field: Field) -> Field:
    match field.value:
        case int():
            return replace(field, value=random.choice(NUMBERS) & 2**64 - 1)
        case bytes() if random.random() < 0.1:
            return replace(field, value=CANARY)
        case bytes():
            return replace(field, value=change_bytes(random, field.value), wire=_DELIMITED)
        case _:
            changed = change_bytes(random, write_fields(field.value))
            return replace(field, value=changed, wire=_DELIMITED)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        number |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return number, at
    return 0, -1


def _write_varint(number: int, random: Random | None) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    if random is not None and len(encoded) < 9 and random.random() < 0.01:
        encoded[-1] |= 0x80
        encoded.append(0)
    return bytes(encoded)


def change_text(random: Random, data: bytes) -> bytes:
    """The text with one change of a line, a word, a number, a blank or what stands in base64."""
    if random.random() < 0.2:
        return change_bytes(random, data)
    return random.choice(_TEXT_CHANGES)(random, data)


def _change_lines(random: Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    at, other = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines.insert(other, lines[at])
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case 3:
            lines[at : at + 2] = [b"".join(lines[at : at + 2])]
        case 4:
            lines[at : at + 1] = [lines[at]] * random.choice((2, 70, 120, 400))
        case _:
            lines.insert(at, b"")
    return b"\n".join(lines)


def _change_blank(random: Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    blank = random.choice(_BLANKS)
    place = random.choice((0, len(lines[at]), random.randint(0, len(lines[at]))))
    lines[at] = lines[at][:place] + blank + lines[at][place:]
    return b"\n".join(lines)


def _change_lookalike(random: Random, data: bytes) -> bytes:
    one, other = random.choice(LOOKALIKES)
    count = data.count(one)
    if not count:
        return other + data
    if random.random() < 0.3:
        return data.replace(one, other)
    pieces = data.split(one)
    at = random.randrange(count) + 1
    return one.join(pieces[:at]) + other + one.join(pieces[at:])


def _change_base64(random: Random, data: bytes) -> bytes:
    def change(content: bytes) -> bytes:
        try:
            decoded = binascii.a2b_base64(content)
        except binascii.Error:
            return change_bytes(random, content)
        changed = random.choice((change_proto, change_bytes))(random, decoded)
        return binascii.b2a_base64(changed, newline=False)

    return _change_match(random, data, _BASE64, change)


def _change_number(random: Random, data: bytes) -> bytes:
    def change(number: bytes) -> bytes:
        value = int(number[:20])
        choices = (value + 1, value - 1, value * 2, *NUMBERS, 10**5000)
        chosen = random.choice(choices)
        spelled = b"9" * 5000 if chosen == 10**5000 else b"%d" % chosen
        return random.choice((spelled, b"0" + number, b"+" + number, b"-" + number, b""))

    return _change_match(random, data, _NUMBER, change)


def _change_word(random: Random, data: bytes) -> bytes:
    def change(word: bytes) -> bytes:
        return random.choice((CANARY, word + CANARY, word.upper(), word * 50, b""))

    return _change_match(random, data, _WORD, change)


def _change_match(
    random: Random, data: bytes, pattern: re.Pattern[bytes], change: Callable[[bytes], bytes]
) -> bytes:
    found = list(pattern.finditer(data))
    if not found:
        return change_bytes(random, data)
    match = random.choice(found)
    return data[: match.start()] + change(match[0]) + data[match.end() :]


_TEXT_CHANGES: Final = (
    _change_lines,
    _change_blank,
    _change_lookalike,
    _change_base64,
    _change_base64,
    _change_number,
    _change_word,
)
