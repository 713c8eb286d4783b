"""The two kinds of leaf, as bytes of fixed layout (proto block.proto): all that is kept for ever.

    entry leaf    u8 version, u8 kind = 1, u8 suite, 32 bytes commitment
    seal leaf     u8 version, u8 kind = 2, u8 suite, u64 height, u64 time in ms, u64 membership
                  epoch, u32 ledger version, 32 bytes block hash, 32 bytes map root

An entry leaf says nothing about what happened; a seal closes each block and is derived by every
peer for itself.
"""

import struct
from enum import IntEnum
from typing import Final

from caretree.crypto.suite import (
    DIGEST_BYTES,
    FORMAT_VERSION,
    SUITE_1,
    check_suite,
    check_version,
)
from caretree.ledger.values import Seal
from caretree.model.errors import MalformedError
from caretree.model.ids import Digest, Height, TimeMs


class LeafKind(IntEnum):
    """What a leaf stands for."""

    ENTRY = 1
    SEAL = 2


NO_MAP_ROOT: Final = bytes(DIGEST_BYTES)  # until there is a map (ARCHITECTURE section 12)

_PREFIX: Final = struct.Struct(">BBB")
_SEAL: Final = struct.Struct(">BBBQQQI32s32s")
_ENTRY_PREFIX: Final = _PREFIX.pack(FORMAT_VERSION, LeafKind.ENTRY, SUITE_1)

ENTRY_LEAF_BYTES: Final = _PREFIX.size + DIGEST_BYTES
SEAL_LEAF_BYTES: Final = _SEAL.size


def encode_entry_leaf(commitment: Digest) -> bytes:
    """The leaf of an entry with this commitment (crypto.commitments.leaf_commitment)."""
    assert len(commitment) == DIGEST_BYTES
    return _ENTRY_PREFIX + commitment


def parse_entry_leaf(leaf: bytes) -> Digest:
    """The commitment of an entry leaf.

    Raises:
        MalformedError: another length, version, kind or suite.
    """
    if len(leaf) == ENTRY_LEAF_BYTES and leaf.startswith(_ENTRY_PREFIX):
        return Digest(leaf[_PREFIX.size :])
    _refuse(leaf, kind=LeafKind.ENTRY, length=ENTRY_LEAF_BYTES, field="entry leaf")
    raise AssertionError("a leaf with the right prefix and length was taken above")


def encode_seal_leaf(seal: Seal) -> bytes:
    """The leaf that closes a block."""
    return _SEAL.pack(
        FORMAT_VERSION,
        LeafKind.SEAL,
        SUITE_1,
        seal.height,
        seal.time_ms,
        seal.membership_epoch,
        seal.ledger_version,
        seal.block_hash,
        seal.map_root,
    )


def parse_seal_leaf(leaf: bytes) -> Seal:
    """The seal behind a seal leaf; the inverse of `encode_seal_leaf`.

    Raises:
        MalformedError: another length, version, kind or suite.
    """
    _refuse(leaf, kind=LeafKind.SEAL, length=SEAL_LEAF_BYTES, field="seal leaf")
    _, _, _, height, time_ms, epoch, ledger_version, block_hash, map_root = _SEAL.unpack(leaf)
    return Seal(
        height=Height(height),
        time_ms=TimeMs(time_ms),
        membership_epoch=epoch,
        ledger_version=ledger_version,
        block_hash=Digest(block_hash),
        map_root=map_root,
    )


def _refuse(leaf: bytes, *, kind: LeafKind, length: int, field: str) -> None:
    """Return when the leaf begins as this kind does and is as long as it.

    The version comes first: what is newer may be longer, and is to be named as newer.
    """
    if len(leaf) < _PREFIX.size:
        raise MalformedError(field, f"expected {length} bytes, found {len(leaf)}")
    version, found, suite = _PREFIX.unpack_from(leaf)
    check_version(version, field=field)
    if found != kind:
        raise MalformedError(field, f"expected leaf kind {kind.value}, found {found}")
    check_suite(suite, field=field)
    if len(leaf) != length:
        raise MalformedError(field, f"expected {length} bytes, found {len(leaf)}")
