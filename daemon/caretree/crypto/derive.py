"""What is derived from a member's secret, always the same: keys, ids, request digests.

A member's secret (32 bytes) is in its keystore and its recovery kit. Whoever restores the member
from the kit derives the same ids again, so that a repeated import adds nothing; nobody else can
tell which source an id came from.
"""

import hmac
from typing import Final, NewType

from caretree.crypto.framing import (
    LABEL_DOCUMENT_ID,
    LABEL_RECORD_ID,
    LABEL_REQUEST_DIGEST,
    LABEL_SOURCE_IDS,
    length_prefixed,
    u32,
)
from caretree.crypto.keyed_hash import HashKey, KeyedHash, keyed_digest
from caretree.crypto.suite import KEY_BYTES, check_key
from caretree.model.ids import Digest, MemberId, RecordId, RequestId

ID_BYTES: Final = 16

_NO_SALT: Final = KeyedHash(bytes(KEY_BYTES), field="salt")
_FIRST_BLOCK: Final = b"\x01"

# The id that the several records of one large source document share: 16 bytes.
DocumentId = NewType("DocumentId", bytes)


def hkdf(key: bytes, *, info: bytes) -> bytes:
    """32 bytes of HKDF-SHA256 of `key` without salt, for the purpose `info`.

    RFC 5869 2.2 and 2.3: 32 bytes are one block, and no salt is a salt of zeros.
    """
    pseudorandom_key = _NO_SALT.digest(key)
    return hmac.digest(pseudorandom_key, info + _FIRST_BLOCK, "sha256")


def derive(member_secret: bytes, purpose: bytes) -> bytes:
    """The member's 32-byte key for `purpose`, a label such as LABEL_ID_KEY.

    HKDF-SHA256(member secret, no salt, info = purpose).

    Raises:
        MalformedError: the secret has not 32 bytes.
    """
    return hkdf(check_key(member_secret, field="member secret"), info=purpose)


def source_ids(
    id_key: HashKey, *, member: MemberId, system: str, source_id: str, part: int
) -> tuple[RecordId, RequestId]:
    """The record id and request id of part number `part` (from 0) of a source document.

    The two halves of HMAC-SHA256 under the id key of length-prefixed LABEL_SOURCE_IDS, member,
    system, source id (UTF-8 each), part (u32). The source id is what `system` itself calls it.
    """
    parts = (member.encode(), system.encode(), source_id.encode(), u32(part))
    digest = _digest(id_key, LABEL_SOURCE_IDS, *parts)
    return RecordId(digest[:ID_BYTES]), RequestId(digest[ID_BYTES:])


def document_id_for(
    id_key: HashKey, *, member: MemberId, system: str, source_id: str
) -> DocumentId:
    """The id that all parts of one source document share.

    The first 16 bytes of HMAC-SHA256 under the id key of length-prefixed LABEL_DOCUMENT_ID, member,
    system, source id (UTF-8 each).
    """
    parts = (member.encode(), system.encode(), source_id.encode())
    return DocumentId(_digest(id_key, LABEL_DOCUMENT_ID, *parts)[:ID_BYTES])


def record_id_from_request(id_key: HashKey, *, member: MemberId, request_id: RequestId) -> RecordId:
    """The id of a record appended without a source; a repeated request names the same record.

    The first 16 bytes of HMAC-SHA256 under the id key of length-prefixed LABEL_RECORD_ID, member
    (UTF-8), request id.
    """
    return RecordId(_digest(id_key, LABEL_RECORD_ID, member.encode(), request_id)[:ID_BYTES])


def request_digest(digest_key: HashKey, *parts: bytes) -> Digest:
    """What tells "the same content again" from other content under one request id.

    HMAC-SHA256 under the digest key of length-prefixed LABEL_REQUEST_DIGEST, then the parts. Keyed,
    so that it tells a stranger nothing.
    """
    return Digest(_digest(digest_key, LABEL_REQUEST_DIGEST, *parts))


def _digest(key: HashKey, *parts: bytes) -> bytes:
    return keyed_digest(key, length_prefixed(*parts))
