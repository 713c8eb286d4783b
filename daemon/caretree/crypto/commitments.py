"""What a leaf and a record's body commit to: tiles say nothing, and yet a receipt proves all."""

import hashlib
import hmac
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from caretree.crypto.derive import hkdf
from caretree.crypto.framing import LABEL_CONTENT, LABEL_LEAF, length_prefixed, u32
from caretree.crypto.suite import check_key
from caretree.model.errors import VerificationError
from caretree.model.ids import Digest, Origin, PeerId, peer_id_bytes

SALT_BYTES: Final = 32
ZERO_SALT: Final = bytes(SALT_BYTES)  # of the GENESIS leaf alone, which hides nothing

LeafCommitter = Callable[[bytes, bytes], Digest]


def leaf_commitment(
    *, origin: Origin, author_peer: PeerId | None, salt: bytes, body: bytes
) -> Digest:
    """The commitment in a leaf, 32 bytes.

    SHA-256 of length-prefixed LABEL_LEAF, origin (UTF-8), author peer (8 bytes big-endian, or empty
    for none), salt (32 bytes), body.

    The salt is 256 random bits, so the commitment tells nothing about the body to who does not hold
    both.

    Raises:
        MalformedError: the salt has another length.
    """
    check_key(salt, field="salt")
    author = b"" if author_peer is None else peer_id_bytes(author_peer)
    framed = length_prefixed(LABEL_LEAF, origin.encode(), author, salt, body)
    return Digest(hashlib.sha256(framed).digest())


def leaf_committer(*, origin: Origin, author_peer: PeerId | None) -> LeafCommitter:
    """`leaf_commitment` of salt and body, for many leaves of one author: the rest is framed once.

    What it gives raises as `leaf_commitment` does.
    """
    author = b"" if author_peer is None else peer_id_bytes(author_peer)
    framed = length_prefixed(LABEL_LEAF, origin.encode(), author) + u32(SALT_BYTES)

    def commit(salt: bytes, body: bytes) -> Digest:
        if len(salt) != SALT_BYTES:
            check_key(salt, field="salt")
        return Digest(sha256(framed + salt + len(body).to_bytes(4, "big") + body).digest())

    return commit


def content_key(record_key: bytes) -> bytes:
    """The key of a record's content commitment, 32 bytes.

    HKDF-SHA256(record key, no salt, info = LABEL_CONTENT).
    It opens nothing, so it may be handed to who is to check content against the leaf.
    """
    return hkdf(record_key, info=LABEL_CONTENT)


def content_commitment(*, record_key: bytes, content: bytes) -> Digest:
    """The commitment in a record's body, 32 bytes.

    HMAC-SHA256(content_key(record key), content), the content without padding.
    AES-GCM does not commit to its key: two keys may open one ciphertext to two contents. This fixes
    one.
    """
    return Digest(hmac.digest(content_key(record_key), content, "sha256"))


def verify_content(*, key: bytes, content: bytes, commitment: Digest) -> None:
    """Return when `commitment` is that of `content` under `key`, a record's `content_key`.

    Raises:
        VerificationError: otherwise.
    """
    if not hmac.compare_digest(hmac.digest(key, content, "sha256"), commitment):
        raise VerificationError("content: is not what the record's body commits to")
