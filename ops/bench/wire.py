"""Messages as they travel, made by hand: what is measured is the callee, not the caller's library.

The numbers of fields are those of etcd's published etcdserverpb and of proto/caretree/api/v1.
"""

from collections.abc import Iterable, Iterator
from typing import Final

PUT: Final = "/etcdserverpb.KV/Put"
TXN: Final = "/etcdserverpb.KV/Txn"
MEMBER_STATUS: Final = "/etcdserverpb.Maintenance/Status"
APPEND: Final = "/caretree.api.v1.RecordService/Append"
APPEND_STREAM: Final = "/caretree.api.v1.RecordService/AppendStream"

# Wire types (Protocol Buffers, "Encoding"): of numbers, and of what has a length.
_VARINT, _SIZED = 0, 2


def varint(number: int) -> bytes:
    """A number, seven bits a byte, the lowest first."""
    assert number >= 0
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def number_field(field: int, number: int) -> bytes:
    """A field that holds a number."""
    return varint(field << 3 | _VARINT) + varint(number)


def sized_field(field: int, content: bytes) -> bytes:
    """A field that holds bytes, a text or a message."""
    return varint(field << 3 | _SIZED) + varint(len(content)) + content


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message with their numbers, in order; numbers and sized ones alone."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        value, at = _read_varint(message, at)
        if tag & 7 == _VARINT:
            yield tag >> 3, value
        elif tag & 7 == _SIZED and at + value <= len(message):
            yield tag >> 3, message[at : at + value]
            at += value
        else:
            raise ValueError(f"expected a number or a sized field, found wire type {tag & 7}")


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("expected a number of at most ten bytes")
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def put_request(key: bytes, value: bytes) -> bytes:
    """etcdserverpb.PutRequest."""
    return sized_field(1, key) + sized_field(2, value)


def txn_request(puts: Iterable[bytes]) -> bytes:
    """etcdserverpb.TxnRequest: all of these puts, on no condition."""
    return b"".join([sized_field(2, sized_field(2, put)) for put in puts])


def txn_succeeded(answer: bytes) -> bool:
    """Whether an etcdserverpb.TxnResponse says that its transaction took effect."""
    return next((value == 1 for field, value in fields(answer) if field == 2), False)


def member_and_leader(answer: bytes) -> tuple[int, int]:
    """Who answers an etcdserverpb.StatusResponse, and who leads by its word; 0 is nobody."""
    told = dict(fields(answer))
    header = told.get(1, b"")
    member = dict(fields(header)).get(2, 0) if isinstance(header, bytes) else 0
    leader = told.get(4, 0)
    return (member if isinstance(member, int) else 0, leader if isinstance(leader, int) else 0)


def patient_field(*, system: str, value: str) -> bytes:
    """The patient of an AppendRequest."""
    return sized_field(1, sized_field(1, system.encode()) + sized_field(2, value.encode()))


def acting_field(*, person: str, role: int) -> bytes:
    """The acting person of an AppendRequest."""
    return sized_field(5, sized_field(1, person.encode()) + number_field(2, role))


def append_request(
    *, patient: bytes, content: bytes, media_type: bytes, request_id: bytes, acting: bytes
) -> bytes:
    """api.v1.AppendRequest; patient, media type and acting person are fields made before."""
    return b"".join(
        (patient, sized_field(2, content), media_type, sized_field(4, request_id), acting)
    )


def append_stream_request(number: int, records: Iterable[bytes], *, receipts: bool = True) -> bytes:
    """api.v1.AppendStreamRequest."""
    sent = b"".join([sized_field(2, record) for record in records])
    return number_field(1, number) + sent + (b"" if receipts else number_field(3, 1))
