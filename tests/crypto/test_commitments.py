import hashlib
import hmac

import pytest
from caretree.crypto.commitments import (
    ZERO_SALT,
    content_commitment,
    content_key,
    leaf_commitment,
    leaf_committer,
    verify_content,
)
from caretree.model.errors import MalformedError, VerificationError
from caretree.model.ids import Digest, Origin, PeerId
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF

from tests.crypto.builders import ORIGIN, secret

SALT = secret("salt")
AUTHOR = PeerId(0x0102030405060708)


def commitment_of(
    origin: Origin = ORIGIN,
    author: PeerId | None = AUTHOR,
    salt: bytes = SALT,
    body: bytes = b"a body",
) -> Digest:
    return leaf_commitment(origin=origin, author_peer=author, salt=salt, body=body)


def test_the_leaf_commitment_is_the_hash_of_its_layout() -> None:
    layout = (
        b"\x00\x00\x00\x10caretree/v1/leaf"
        b"\x00\x00\x00\x15care.example/0011aabb"
        b"\x00\x00\x00\x08\x01\x02\x03\x04\x05\x06\x07\x08"
        b"\x00\x00\x00\x20" + SALT + b"\x00\x00\x00\x06a body"
    )
    assert commitment_of() == hashlib.sha256(layout).digest()


def test_without_author_the_part_is_empty() -> None:
    layout = (
        b"\x00\x00\x00\x10caretree/v1/leaf"
        b"\x00\x00\x00\x15care.example/0011aabb"
        b"\x00\x00\x00\x00"
        b"\x00\x00\x00\x20" + bytes(32) + b"\x00\x00\x00\x06a body"
    )
    assert commitment_of(author=None, salt=ZERO_SALT) == hashlib.sha256(layout).digest()


def test_known_answers_of_commitments() -> None:
    assert (
        commitment_of().hex() == "dceed10058b335a1bc106bebce91689ee503b2df040a9f681e4eb5da4425e843"
    )
    assert (
        content_key(secret("record")).hex()
        == "6b6d7de8d29a6922622639d1a203468e63f797f2785d3b344d78b407733fa00b"
    )
    commitment = content_commitment(record_key=secret("record"), content=b"content")
    assert commitment.hex() == "4cf34c08a82cd0f64b53ec74f65aed44b92877b9cd664517f6cb9f6acef927fa"


def test_every_part_moves_the_leaf_commitment() -> None:
    others = [
        commitment_of(origin=Origin("care.example/0011aabc")),
        commitment_of(author=PeerId(1)),
        commitment_of(author=None),
        commitment_of(salt=secret("another salt")),
        commitment_of(body=b"another body"),
    ]
    assert len({commitment_of(), *others}) == 6


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_salt_has_32_bytes(length: int) -> None:
    with pytest.raises(MalformedError, match="salt"):
        commitment_of(salt=bytes(length))


@pytest.mark.parametrize("author", [AUTHOR, None])
def test_many_leaves_of_one_author_are_committed_to_as_each_alone(author: PeerId | None) -> None:
    commit = leaf_committer(origin=ORIGIN, author_peer=author)

    for body in (b"a body", b"", b"b" * 70_000):
        assert commit(SALT, body) == commitment_of(author=author, body=body)
    with pytest.raises(MalformedError, match="salt"):
        commit(SALT[1:], b"a body")


def test_the_content_commitment_is_the_other_librarys_hkdf_and_hmac() -> None:
    key = HKDF(secret("record"), 32, b"", SHA256, context=b"caretree/v1/content")
    assert key == content_key(secret("record"))
    commitment = content_commitment(record_key=secret("record"), content=b"content")
    assert commitment == hmac.new(key, b"content", "sha256").digest()


def test_content_is_checked_with_the_derived_key_alone() -> None:
    commitment = content_commitment(record_key=secret("record"), content=b"content")
    verify_content(key=content_key(secret("record")), content=b"content", commitment=commitment)


@pytest.mark.parametrize(
    ("key", "content"), [("record", b"Content"), ("record", b""), ("another", b"content")]
)
def test_other_content_or_key_is_refused(key: str, content: bytes) -> None:
    commitment = content_commitment(record_key=secret("record"), content=b"content")
    with pytest.raises(VerificationError):
        verify_content(key=content_key(secret(key)), content=content, commitment=commitment)
