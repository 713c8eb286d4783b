"""Entry bundles: the entries under one tile, each behind its length (c2sp.org/tlog-tiles)."""

from collections.abc import Sequence

from caretree.merkle.tiles import TILE_WIDTH
from caretree.model.errors import MalformedError

ENTRY_BYTES_MAX = 0xFFFF
_LENGTH_BYTES = 2


def encode_entries(entries: Sequence[bytes]) -> bytes:
    """The bundle of these entries, of which there are at most 256, each of at most 65,535 bytes."""
    assert len(entries) <= TILE_WIDTH
    assert all(len(entry) <= ENTRY_BYTES_MAX for entry in entries)
    return b"".join(len(entry).to_bytes(_LENGTH_BYTES, "big") + entry for entry in entries)


def decode_entries(bundle: bytes, *, width: int) -> tuple[bytes, ...]:
    """The `width` entries of a bundle.

    Raises:
        MalformedError: the bundle is cut, or holds fewer or more entries.
    """
    entries: list[bytes] = []
    start = 0
    while start < len(bundle) and len(entries) <= width:
        body = start + _LENGTH_BYTES
        end = body + int.from_bytes(bundle[start:body], "big")
        if body > len(bundle) or end > len(bundle):
            raise MalformedError("entry bundle", "expected a whole entry, found its end cut off")
        entries.append(bundle[body:end])
        start = end
    if len(entries) != width:
        raise MalformedError("entry bundle", f"expected exactly {width} entries")
    return tuple(entries)
