"""A record sealed: its content under a key of its own, and that key under the keyring's epoch key.

    payload     = envelope (see aead) of padded content (see padding) under the record key,
                  AAD = length-prefixed LABEL_RECORD, origin, custodian, record id
    wrapped key = envelope of the 32-byte record key under the epoch key,
                  AAD = the same parts and the key id of the epoch key

The payload is stored as one value, and the record's body names its SHA-256. A record key seals one
content and is never used again; the wrapped key is named by no digest and may be replaced by one
under a later epoch key.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from caretree.crypto.aead import ENVELOPE_EXTRA_BYTES, NONCE_BYTES, open_envelope, seal_envelope
from caretree.crypto.commitments import content_commitment
from caretree.crypto.framing import LABEL_RECORD, length_prefixed, u32
from caretree.crypto.keyring import key_id
from caretree.crypto.padding import LENGTH_BYTES, pad, padded_length, unpad
from caretree.crypto.suite import KEY_BYTES, check_key
from caretree.model.errors import MalformedError
from caretree.model.ids import Digest, KeyId, MemberId, Origin, RecordId
from caretree.model.limits import CONTENT_BYTES_MAX

PAYLOAD_BYTES_MAX: Final = ENVELOPE_EXTRA_BYTES + padded_length(LENGTH_BYTES + CONTENT_BYTES_MAX)
RECORD_SECRETS_BYTES: Final = KEY_BYTES + 2 * NONCE_BYTES
WRAPPED_KEY_BYTES: Final = ENVELOPE_EXTRA_BYTES + KEY_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordContext:
    """The one place that a record's sealed bytes belong to; moved elsewhere they do not open."""

    origin: Origin
    custodian: MemberId
    record_id: RecordId

    def content_aad(self) -> bytes:
        """The payload's: length-prefixed LABEL_RECORD, origin, custodian, record id."""
        return length_prefixed(LABEL_RECORD, *self._parts())

    def key_aad(self, epoch_key_id: KeyId) -> bytes:
        """The wrapped key's: the same parts and the key id of the epoch key."""
        return length_prefixed(LABEL_RECORD, *self._parts(), epoch_key_id)

    def _parts(self) -> tuple[bytes, bytes, bytes]:
        return self.origin.encode(), self.custodian.encode(), self.record_id


class RecordSealer:
    """Seals the records of one custodian: what all their contexts begin with is framed once."""

    __slots__ = ("_place",)

    def __init__(self, *, origin: Origin, custodian: MemberId) -> None:
        self._place = length_prefixed(LABEL_RECORD, origin.encode(), custodian.encode())

    def seal(
        self,
        drawn: bytes,
        *,
        record_id: RecordId,
        content: bytes,
        epoch_key: bytes,
        epoch_key_id: KeyId,
    ) -> tuple[bytes, bytes, Digest]:
        """Payload, wrapped key and content commitment of a record.

        `drawn` are RECORD_SECRETS_BYTES fresh random bytes, for this record alone. `epoch_key_id`
        is to name the epoch key; it is not computed again for every record. What comes out is what
        `seal_content`, `wrap_record_key` and `content_commitment` give.

        Raises:
            MalformedError: the content exceeds CONTENT_BYTES_MAX, or a key its length.
        """
        assert len(drawn) == RECORD_SECRETS_BYTES
        record_key, key_nonce = drawn[:KEY_BYTES], drawn[-NONCE_BYTES:]
        content_nonce = drawn[KEY_BYTES:-NONCE_BYTES]
        aad = self._place + u32(len(record_id)) + record_id
        payload = seal_envelope(
            key=record_key, nonce=content_nonce, aad=aad, plaintext=pad(content)
        )
        # The additional data of a wrapped key begins as the content's does.
        aad += u32(len(epoch_key_id)) + epoch_key_id
        wrapped = seal_envelope(key=epoch_key, nonce=key_nonce, aad=aad, plaintext=record_key)
        return payload, wrapped, content_commitment(record_key=record_key, content=content)


def seal_content(
    *, record_key: bytes, nonce: bytes, context: RecordContext, content: bytes
) -> bytes:
    """The payload of a record: its content padded and sealed under a fresh record key and nonce.

    Raises:
        MalformedError: the content exceeds CONTENT_BYTES_MAX, or a key or nonce its length.
    """
    return seal_envelope(
        key=record_key, nonce=nonce, aad=context.content_aad(), plaintext=pad(content)
    )


def open_content(*, record_key: bytes, context: RecordContext, payload: bytes) -> bytes:
    """The content of a payload.

    Before it is used it must be checked against the body, by commitments.verify_content.

    Raises:
        MalformedError: the payload has a wrong length, version, suite or padding.
        OpeningError: it was not sealed under this key for this record.
    """
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise MalformedError("payload", f"expected at most {PAYLOAD_BYTES_MAX} bytes")
    padded = open_envelope(
        key=record_key, aad=context.content_aad(), envelope=payload, field="payload"
    )
    return unpad(padded)


def payload_digest(payload: bytes) -> Digest:
    """SHA-256 of the payload as stored, which the record's body names."""
    return Digest(hashlib.sha256(payload).digest())


def wrap_record_key(
    *, epoch_key: bytes, nonce: bytes, context: RecordContext, record_key: bytes
) -> bytes:
    """The record key wrapped under the epoch key, 62 bytes.

    At most keyring.WRAPS_MAX of them under one epoch key.

    Raises:
        MalformedError: a key or the nonce has a wrong length.
    """
    check_key(record_key, field="record key")
    aad = context.key_aad(key_id(epoch_key))
    return seal_envelope(key=epoch_key, nonce=nonce, aad=aad, plaintext=record_key)


def unwrap_record_key(
    *,
    epoch_key: bytes,
    context: RecordContext,
    wrapped: bytes,
    epoch_key_id: KeyId | None = None,
) -> bytes:
    """The record key of a wrapped key.

    `epoch_key_id` is to name the epoch key; where it is not given it is computed.

    Raises:
        MalformedError: it has a wrong length, version or suite.
        OpeningError: it was not wrapped under this epoch key for this record.
    """
    if len(wrapped) != WRAPPED_KEY_BYTES:
        raise MalformedError("wrapped key", f"expected {WRAPPED_KEY_BYTES} bytes")
    aad = context.key_aad(epoch_key_id or key_id(epoch_key))
    return open_envelope(key=epoch_key, aad=aad, envelope=wrapped, field="wrapped key")
