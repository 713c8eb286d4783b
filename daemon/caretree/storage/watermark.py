"""The watermark: what this peer has shown to others, kept where no cut of LevelDB's log reaches it.

The file is four pages of 4096 bytes: two slots of two copies each. The watermark of sequence number
s lies in slot s mod 2; `write` puts both copies of the next number into the other slot with one
pwrite and one fdatasync. A page holds, big-endian (bytes on disk for ever):

    magic (8) || version u8 || suite u8 || sequence u64 || last index u64 || last term u64
    || last hash (32) || term u64 || vote u64 || signed size u64 || signed root (32)
    || SHA-256 of all before (32) || zeros

What a reader may conclude, given that the disk writes a sector of 512 bytes whole or not at all:

1. A record lies within the first sector of its page, and the rest of the page never changes, so an
   interrupted write leaves each copy as it was or as it should become. It never makes an invalid
   page.
2. An invalid page is therefore damage. Its twin decides: had the newer write returned, the twin
   would hold it too. One damaged page is no loss and no rollback, whichever it is.
3. A slot with both copies damaged may have held what was shown last: the start is refused. So is a
   pair of slots that no crash leaves (numbers not next to each other, a number in the wrong slot).
4. A write that never returned may be found or not; nothing was shown that rests on it.

Where a sector can tear, at most the page being written at that moment is hurt, and rule 2 still
holds.

`open` writes every slot's newest record to both of its pages again, one page after the other,
before anything is shown: what was found in one copy only, or merely in the page cache of a process
that was killed, or left there clean by a failed fsync, would otherwise be gone after the next power
cut.
"""

import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from caretree.model.ids import LogIndex, PeerId, Term, TreeSize
from caretree.storage.errors import NewerReleaseError, StorageError, StorageLostError
from caretree.storage.files import disk_errors, fsync_directory, read_file, write_whole

WATERMARK_VERSION: Final = 1
WATERMARK_SUITE: Final = 1  # SHA-256 (ARCHITECTURE section 4)
PAGE_BYTES: Final = 4096
COPIES: Final = 2
SLOTS: Final = 2
FILE_BYTES: Final = SLOTS * COPIES * PAGE_BYTES

_MAGIC: Final = b"ctwaterm"
_RECORD: Final = struct.Struct(">8sBBQQQ32sQQQ32s")
_CHECKSUM_BYTES: Final = 32
_USED_BYTES: Final = _RECORD.size + _CHECKSUM_BYTES
_ZEROS: Final = bytes(PAGE_BYTES - _USED_BYTES)
_NO_HASH: Final = bytes(32)
_NAME: Final = "the watermark file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """What this peer has shown to others, at least."""

    last_index: LogIndex  # of the last log row; 0 for an empty log
    last_term: Term
    last_hash: bytes  # 32 bytes that identify the last log row
    term: Term
    vote: PeerId | None  # in `term`
    signed_size: TreeSize  # the largest tree signed; 0 for none
    signed_root: bytes  # 32 bytes


NOTHING_SHOWN: Final = Watermark(
    last_index=LogIndex(0),
    last_term=Term(0),
    last_hash=_NO_HASH,
    term=Term(0),
    vote=None,
    signed_size=TreeSize(0),
    signed_root=_NO_HASH,
)


class WatermarkFile:
    """The open watermark file. One thread uses it; after the first error it takes no more."""

    __slots__ = ("_current", "_damaged_pages", "_descriptor", "_failed", "_path", "_sequence")

    def __init__(self, path: Path, descriptor: int, found: "Found") -> None:
        self._path = path
        self._descriptor = descriptor
        self._sequence = found.sequence
        self._current = found.watermark
        self._damaged_pages = found.damaged_pages
        self._failed: StorageError | None = None

    @classmethod
    def create(cls, path: Path) -> "WatermarkFile":
        """A new file at `path` that says that nothing was shown.

        Raises:
            StorageError: there is one already, or the disk refused.
        """
        image = b"".join(encode_page(sequence, NOTHING_SHOWN) * COPIES for sequence in range(SLOTS))
        with disk_errors("creation", f"the watermark file {path}"):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            descriptor = os.open(path, flags, 0o600)
            write_whole(descriptor, image, offset=0)
            os.fsync(descriptor)
            fsync_directory(path.parent)
        return cls(path, descriptor, find_newest(image))

    @classmethod
    def open(cls, path: Path) -> "WatermarkFile":
        """The file at `path`, repaired from its own copies where one page was damaged.

        Raises:
            StorageLostError: it is missing, or what was written last is damaged.
            NewerReleaseError: a newer release wrote it.
            StorageError: the disk refused.
        """
        image = read_file(path)
        if image is None:
            raise StorageLostError(f"the watermark file {path} is missing")
        try:
            found = find_newest(image)
        except StorageLostError as error:
            raise StorageLostError(f"{path}: {error.what}") from None
        with disk_errors("repair", f"the watermark file {path}"):
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
            for offset, page in found.rewrites:
                write_whole(descriptor, page, offset=offset)
                os.fdatasync(descriptor)
        return cls(path, descriptor, found)

    @property
    def damaged_pages(self) -> int:
        """How many pages were damaged when the file was opened; they have been repaired."""
        return self._damaged_pages

    def read(self) -> Watermark:
        """The watermark written last."""
        return self._current

    def write(self, watermark: Watermark) -> None:
        """Keep `watermark`; once this returns, what it says may be shown.

        Raises:
            StorageError: it may or may not be kept. Never retry; the process must end.
        """
        _assert_no_step_back(self._current, watermark)
        if self._failed is not None:
            raise self._failed.with_traceback(None)
        sequence = self._sequence + 1
        offset = sequence % SLOTS * COPIES * PAGE_BYTES
        try:
            with disk_errors("write", f"the watermark file {self._path}"):
                write_whole(
                    self._descriptor, encode_page(sequence, watermark) * COPIES, offset=offset
                )
                os.fdatasync(self._descriptor)
        except StorageError as error:
            self._failed = error
            raise
        self._sequence = sequence
        self._current = watermark

    def close(self) -> None:
        """Release the file; a write after this fails, a second close does nothing."""
        if self._failed is None:
            os.close(self._descriptor)
            self._failed = StorageError(operation="write", subject=_NAME, reason="it is closed")


def check_log_against(
    watermark: Watermark, *, last_term: Term, last_index: LogIndex, last_hash: bytes
) -> None:
    """Check that the log found at a start holds all that was shown of it (INV-19).

    A log beyond the watermark is what a crash between the two writes leaves. A follower that
    replaces its tail by rows of a smaller term shortens its log on purpose, and so writes the
    watermark before the log.

    Raises:
        StorageLostError: its last row comes before the watermark's, or is another one at the same
        place.
    """
    found, shown = (last_term, last_index), (watermark.last_term, watermark.last_index)
    if found < shown:
        raise StorageLostError(
            f"the log ends at term {last_term}, index {last_index},"
            f" and was shown up to term {watermark.last_term}, index {watermark.last_index}"
        )
    if found == shown and last_hash != watermark.last_hash:
        raise StorageLostError(
            f"the log's last row at term {last_term}, index {last_index} is not the one shown"
        )


def check_vote_against(watermark: Watermark, *, term: Term, vote: PeerId | None) -> None:
    """Check that the term and vote found at a start are not older than those shown.

    Raises:
        StorageLostError: the term is smaller, or the vote of the same term is not the one given.
    """
    if term < watermark.term:
        raise StorageLostError(f"the log knows term {term}, and term {watermark.term} was shown")
    if term == watermark.term and watermark.vote is not None and vote != watermark.vote:
        raise StorageLostError(f"the vote found in term {term} is not the one that was shown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an image of the file says."""

    sequence: int
    watermark: Watermark
    damaged_pages: int
    rewrites: tuple[
        tuple[int, bytes], ...
    ]  # (offset, page), to be done in this order, each durable


def encode_page(sequence: int, watermark: Watermark) -> bytes:
    """The page that holds `watermark` under `sequence`."""
    record = _RECORD.pack(
        _MAGIC,
        WATERMARK_VERSION,
        WATERMARK_SUITE,
        sequence,
        watermark.last_index,
        watermark.last_term,
        watermark.last_hash,
        watermark.term,
        watermark.vote or 0,
        watermark.signed_size,
        watermark.signed_root,
    )
    return record + hashlib.sha256(record).digest() + _ZEROS


def find_newest(image: bytes) -> Found:
    """What the file's bytes say, by the rules at the head of this module.

    Raises:
        StorageLostError: what was written last may be among what is damaged.
        NewerReleaseError: a newer release wrote it.
    """
    if len(image) != FILE_BYTES:
        raise _damaged(f"it has {len(image)} bytes instead of {FILE_BYTES}")
    pages = [image[start : start + PAGE_BYTES] for start in range(0, FILE_BYTES, PAGE_BYTES)]
    read = [_decode_page(page) for page in pages]
    newest = [_newest_of_slot(slot, read) for slot in range(SLOTS)]
    older, newer = sorted(newest)
    if newer - older != 1:
        raise _damaged("its two slots do not follow each other")
    rewrites: list[tuple[int, bytes]] = []
    for slot, sequence in enumerate(newest):
        own = range(slot * COPIES, (slot + 1) * COPIES)
        good = next(at for at in own if (held := read[at]) is not None and held[0] == sequence)
        # The other copies first: until they are durable, the good one is the only one.
        ordered = [*(at for at in own if at != good), good]
        rewrites.extend((at * PAGE_BYTES, pages[good]) for at in ordered)
    watermark = next(found[1] for found in read if found and found[0] == newer)
    return Found(
        sequence=newer,
        watermark=watermark,
        damaged_pages=read.count(None),
        rewrites=tuple(rewrites),
    )


def _newest_of_slot(slot: int, read: list[tuple[int, Watermark] | None]) -> int:
    held = [found[0] for found in read[slot * COPIES : (slot + 1) * COPIES] if found]
    if not held:
        raise _damaged("both copies of a slot are damaged")
    if any(sequence % SLOTS != slot for sequence in held) or max(held) - min(held) not in (
        0,
        SLOTS,
    ):
        raise _damaged("a slot holds what was never written to it")
    return max(held)


def _decode_page(page: bytes) -> tuple[int, Watermark] | None:
    record, checksum = page[: _RECORD.size], page[_RECORD.size : _USED_BYTES]
    if hashlib.sha256(record).digest() != checksum or page[_USED_BYTES:] != _ZEROS:
        return None
    magic, version, suite, sequence, index, last_term, digest, term, vote, size, root = (
        _RECORD.unpack(record)
    )
    if magic == _MAGIC and version > WATERMARK_VERSION:
        raise NewerReleaseError(_NAME, found=version, known=WATERMARK_VERSION)
    if (magic, version, suite) != (_MAGIC, WATERMARK_VERSION, WATERMARK_SUITE):
        return None
    watermark = Watermark(
        last_index=LogIndex(index),
        last_term=Term(last_term),
        last_hash=digest,
        term=Term(term),
        vote=PeerId(vote) if vote else None,
        signed_size=TreeSize(size),
        signed_root=root,
    )
    return sequence, watermark


def _damaged(what: str) -> StorageLostError:
    return StorageLostError(f"the watermark file is damaged ({what})")


def _assert_no_step_back(old: Watermark, new: Watermark) -> None:
    # INV-16: a peer votes once in a term, and signs one root at a size and never a smaller size.
    assert new.term >= old.term, "the term goes back"
    assert new.term > old.term or old.vote in {None, new.vote}, "a vote is changed within its term"
    assert new.signed_size >= old.signed_size, "the signed size goes back"
    assert new.signed_size > old.signed_size or new.signed_root == old.signed_root, (
        "another root at a signed size"
    )
    assert len(new.last_hash) == len(new.signed_root) == len(_NO_HASH)
