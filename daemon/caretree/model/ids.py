"""The ids and counts of the glossary as distinct types, so that one is never taken for another."""

import re
from typing import NewType

from caretree.model.errors import MalformedError

# Raft's log index counts from 1; every other index counts from 0; a size counts items.
LogIndex = NewType("LogIndex", int)
Term = NewType("Term", int)
Height = NewType("Height", int)
Place = NewType("Place", int)  # among a block's entries, refused ones counted
LeafIndex = NewType("LeafIndex", int)
TreeSize = NewType("TreeSize", int)
TimeMs = NewType("TimeMs", int)  # POSIX milliseconds; block time unless the name says otherwise

PeerId = NewType("PeerId", int)  # 64 bit, derived from its public keys, never 0
MemberId = NewType("MemberId", str)  # see parse_member_id
Origin = NewType("Origin", str)  # the consortium's name, "/", 8 hex digits of the genesis hash

Digest = NewType("Digest", bytes)  # 32 bytes of SHA-256
RecordId = NewType("RecordId", bytes)  # 16 bytes
RequestId = NewType("RequestId", bytes)  # 16 bytes
GrantId = NewType("GrantId", bytes)  # 16 bytes
KeyId = NewType("KeyId", bytes)  # 32 bytes, see crypto.keyring
Pseudonym = NewType("Pseudonym", bytes)  # 32 bytes, see crypto.pseudonym

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_CONSORTIUM = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")
NAME_LENGTH_MAX = 32
CONSORTIUM_LENGTH_MAX = 64


def parse_member_id(text: str) -> MemberId:
    """A member id: lower-case letters, digits and single hyphens, at most 32 characters.

    Raises:
        MalformedError: naming the field `member`.
    """
    return MemberId(parse_name(text, field="member"))


def parse_name(text: str, *, field: str) -> str:
    """A short lower-case name, as members, principals and roles bear it.

    Raises:
        MalformedError: naming `field`.
    """
    if len(text) > NAME_LENGTH_MAX or _NAME.fullmatch(text) is None:
        raise MalformedError(
            field, f"expected 1 to {NAME_LENGTH_MAX} of a-z, 0-9 and single hyphens, a letter first"
        )
    return text


def parse_consortium_name(text: str) -> str:
    """A consortium's name: lower-case, domain-like, at most 64 characters.

    It becomes a note key name, which may hold neither spaces nor plus signs.

    Raises:
        MalformedError: naming the field `consortium`.
    """
    if len(text) > CONSORTIUM_LENGTH_MAX or _CONSORTIUM.fullmatch(text) is None:
        raise MalformedError(
            "consortium", f"expected 1 to {CONSORTIUM_LENGTH_MAX} of a-z, 0-9, hyphens and dots"
        )
    return text


def peer_id_bytes(peer: PeerId) -> bytes:
    """A peer id as the 8 big-endian bytes that are hashed and signed."""
    return peer.to_bytes(8, "big")


def show_peer_id(peer: PeerId) -> str:
    """A peer id as the 16 hex digits that people, metrics and certificates show."""
    return f"{peer:016x}"


def parse_peer_id(text: str) -> PeerId:
    """The inverse of `show_peer_id`.

    Raises:
        MalformedError: naming the field `peer`.
    """
    if re.fullmatch(r"[0-9a-f]{16}", text) is None or int(text, 16) == 0:
        raise MalformedError("peer", "expected 16 hex digits, not all zero")
    return PeerId(int(text, 16))
