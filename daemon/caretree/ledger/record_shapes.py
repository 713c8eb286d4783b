"""Bodies of records that differ in fields of fixed length alone, parsed once for all of them.

Every peer parses every record's body. Those of one author say the same actor, custodian, epoch and
media type again and again; what differs is ids, digests and keys, and of these a body may have any
bytes of the right length. So:

1. A body that was parsed strictly leaves its shape: where those fields stand, and all bytes around
   them.
2. Other bytes with the same around the same places are the same fields in the same order, and parse
   as that one did, into a body with their own ids and digests.
3. Whatever has no known shape is parsed strictly, field by field. A shape decides nothing that the
   parser would decide otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from struct import Struct
from typing import Final

from caretree.ledger.values import Actor, Body, Patient, Record
from caretree.model.ids import Digest, KeyId, MemberId, Pseudonym, RecordId, RequestId

SHAPES_MAX: Final = 1024  # of a few hundred bytes
LAYOUTS_MAX: Final = 4  # for bodies of one length; names of several lengths can add up to it

# In the order in which bodies are written: request id and digest, record id, pseudonym, key id,
# ciphertext digest, content commitment, document id.
_FIELD_LENGTHS: Final = (16, 32, 16, 32, 32, 32, 32, 16)
# Bytes that no body holds by chance, to find the places of the fields by.
_MARKS: Final = tuple(
    sha256(f"field {place}".encode()).digest()[:length]
    for place, length in enumerate(_FIELD_LENGTHS)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What all bodies of one shape say alike."""

    actor: Actor
    pseudonym_epoch: int
    custodian: MemberId
    keyring_epoch: int
    media_type: str
    part: int


class RecordShapes:
    """The shapes known; full, it begins anew.

    May be asked from any thread: each step on its tables is a single one of the interpreter's, and
    a shape that two threads lose between them is learned again.
    """

    __slots__ = ("_layouts", "_shapes", "_shapes_max")

    def __init__(self, *, shapes_max: int = SHAPES_MAX) -> None:
        assert shapes_max > 0
        self._shapes_max = shapes_max
        self._layouts: dict[int, tuple[Struct, ...]] = {}  # by length of the body
        self._shapes: dict[tuple[Struct, bytes], _Shape] = {}  # by what is around the fields

    def __len__(self) -> int:
        return len(self._shapes)

    def body_of(self, encoded: bytes) -> Body | None:
        """The body of these bytes when their shape is known."""
        for layout in self._layouts.get(len(encoded), ()):
            parts = layout.unpack(encoded)
            shape = self._shapes.get((layout, b"".join(parts[::2])))
            if shape is None:
                continue
            request_id, digest, record_id, pseudonym, key_id, ciphertext, commitment, document = (
                parts[1::2]
            )
            record = Record(
                record_id=record_id,
                patient=Patient(pseudonym_epoch=shape.pseudonym_epoch, pseudonym=pseudonym),
                custodian=shape.custodian,
                keyring_epoch=shape.keyring_epoch,
                key_id=key_id,
                ciphertext_sha256=ciphertext,
                content_commitment=commitment,
                media_type=shape.media_type,
                document_id=document,
                part=shape.part,
                replaces=None,
            )
            return Body(
                request_id=request_id,
                request_digest=digest,
                actor=shape.actor,
                happening=record,
            )
        return None

    def learn(self, encoded: bytes, body: Body, encode: Callable[[Body], bytes]) -> None:
        """Keep the shape of a body that was parsed strictly from these bytes.

        Bytes with their fields in another order than `encode` writes leave none, nor do those of a
        record that replaces one: what is around its fields is its own.
        """
        record = body.happening
        if not isinstance(record, Record) or record.replaces is not None:
            return
        marked = encode(_marked(body, record))
        layout = _layout(marked)
        if layout is None or len(marked) != len(encoded):
            return
        around = b"".join(layout.unpack(marked)[::2])
        if b"".join(layout.unpack(encoded)[::2]) == around:
            self._keep(len(encoded), layout, around, _shape(body.actor, record))

    def _keep(self, length: int, layout: Struct, around: bytes, shape: _Shape) -> None:
        if len(self._shapes) >= self._shapes_max:
            self._shapes.clear()
            self._layouts.clear()
        layouts = self._layouts.get(length, ())
        same = next((each for each in layouts if each.format == layout.format), None)
        if same is None and len(layouts) < LAYOUTS_MAX:
            same = layout
            self._layouts[length] = (*layouts, layout)
        if same is not None:
            self._shapes[same, around] = shape


def _shape(actor: Actor, record: Record) -> _Shape:
    return _Shape(
        actor=actor,
        pseudonym_epoch=record.patient.pseudonym_epoch,
        custodian=record.custodian,
        keyring_epoch=record.keyring_epoch,
        media_type=record.media_type,
        part=record.part,
    )


def _marked(body: Body, record: Record) -> Body:
    """The same body with marks for its fields of fixed length."""
    request_id, digest, record_id, pseudonym, key_id, ciphertext, commitment, document_id = _MARKS
    return Body(
        request_id=RequestId(request_id),
        request_digest=Digest(digest),
        actor=body.actor,
        happening=Record(
            record_id=RecordId(record_id),
            patient=Patient(
                pseudonym_epoch=record.patient.pseudonym_epoch, pseudonym=Pseudonym(pseudonym)
            ),
            custodian=record.custodian,
            keyring_epoch=record.keyring_epoch,
            key_id=KeyId(key_id),
            ciphertext_sha256=Digest(ciphertext),
            content_commitment=commitment,
            media_type=record.media_type,
            document_id=document_id,
            part=record.part,
            replaces=None,
        ),
    )


def _layout(marked: bytes) -> Struct | None:
    """What is around the marks and between them, and they themselves, in turn."""
    parts, end = [], 0
    for mark in _MARKS:
        start = marked.find(mark, end)
        if start < 0:
            return None
        parts.append(f"{start - end}s{len(mark)}s")
        end = start + len(mark)
    return Struct(f"{''.join(parts)}{len(marked) - end}s")
