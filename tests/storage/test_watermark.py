"""The watermark survives any crash, never goes back in silence, and shows that a log is shorter."""

import hashlib
import itertools
import os
import resource
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from caretree.model.ids import LogIndex, PeerId, Term, TreeSize
from caretree.storage.errors import NewerReleaseError, StorageError, StorageLostError
from caretree.storage.watermark import (
    COPIES,
    FILE_BYTES,
    NOTHING_SHOWN,
    PAGE_BYTES,
    Watermark,
    WatermarkFile,
    check_log_against,
    check_vote_against,
    encode_page,
    find_newest,
)

SECTOR = 512
USED = 200  # a record with its checksum ends before this byte of its page


def mark(number: int) -> Watermark:
    """The watermark that the tests write as their `number`-th."""
    return Watermark(
        last_index=LogIndex(number * 3),
        last_term=Term(number),
        last_hash=hashlib.sha256(b"row %d" % number).digest(),
        term=Term(number + 1),
        vote=PeerId(number % 3) if number % 3 else None,
        signed_size=TreeSize(number * 2),
        signed_root=hashlib.sha256(b"root %d" % number).digest(),
    )


def image(writes: int) -> bytes:
    """The file after so many writes."""
    pages = [encode_page(0, NOTHING_SHOWN), encode_page(1, NOTHING_SHOWN)]
    for number in range(1, writes + 1):
        pages[(number + 1) % 2] = encode_page(number + 1, mark(number))
    return b"".join(page * COPIES for page in pages)


def opened(path: Path, content: bytes) -> Watermark:
    """What a start reads, after which the file must say the same on every page of its slot."""
    path.write_bytes(content)
    file = WatermarkFile.open(path)
    found = file.read()
    file.close()
    healed = path.read_bytes()
    again = find_newest(healed)
    assert again.watermark == found
    assert again.damaged_pages == 0
    assert healed[:PAGE_BYTES] == healed[PAGE_BYTES : 2 * PAGE_BYTES]
    assert healed[2 * PAGE_BYTES : 3 * PAGE_BYTES] == healed[3 * PAGE_BYTES :]
    return found


def flips(content: bytes) -> Iterator[bytes]:
    """The content with one bit flipped: each used byte, and samples of the zeros behind."""
    for start in range(0, len(content), PAGE_BYTES):
        for at in [*range(USED), *range(USED, PAGE_BYTES, 501), PAGE_BYTES - 1]:
            place = start + at
            yield content[:place] + bytes((content[place] ^ 1 << at % 8,)) + content[place + 1 :]


def test_a_new_file_says_that_nothing_was_shown(tmp_path: Path) -> None:
    created = WatermarkFile.create(tmp_path / "watermark")
    assert created.read() == NOTHING_SHOWN
    created.close()

    assert (tmp_path / "watermark").read_bytes() == image(0)
    assert opened(tmp_path / "watermark", image(0)) == NOTHING_SHOWN


def test_each_write_is_read_at_once_and_after_a_reopening(tmp_path: Path) -> None:
    file = WatermarkFile.create(tmp_path / "watermark")
    for number in range(1, 8):
        file.write(mark(number))
        assert file.read() == mark(number)
        assert (tmp_path / "watermark").read_bytes() == image(number)

        file.close()
        file = WatermarkFile.open(tmp_path / "watermark")
        assert file.read() == mark(number)
    file.close()


def test_the_bytes_of_a_page_are_the_documented_ones() -> None:
    page = encode_page(9, mark(4))

    record = (
        b"ctwaterm\x01\x01"
        + b"".join(number.to_bytes(8, "big") for number in (9, 12, 4))
        + hashlib.sha256(b"row 4").digest()
        + b"".join(number.to_bytes(8, "big") for number in (5, 1, 8))
        + hashlib.sha256(b"root 4").digest()
    )
    assert page == (record + hashlib.sha256(record).digest()).ljust(4096, b"\x00")


@pytest.mark.parametrize("writes", [0, 1, 2, 5])
def test_a_flipped_bit_anywhere_never_takes_the_watermark_back(writes: int) -> None:
    expected = mark(writes) if writes else NOTHING_SHOWN

    for content in flips(image(writes)):
        found = find_newest(content)
        assert found.watermark == expected
        assert found.damaged_pages == 1


def test_two_damaged_pages_are_repaired_or_refused(tmp_path: Path) -> None:
    whole = image(5)
    for pages in itertools.combinations(range(4), 2):
        content = bytearray(whole)
        for page in pages:
            content[page * PAGE_BYTES + 20] ^= 1
        same_slot = pages[0] // COPIES == pages[1] // COPIES
        if same_slot:
            with pytest.raises(StorageLostError, match="damaged"):
                opened(tmp_path / "watermark", bytes(content))
        else:
            assert opened(tmp_path / "watermark", bytes(content)) == mark(5)


def test_a_damaged_page_is_repaired_and_counted(tmp_path: Path) -> None:
    content = bytearray(image(3))
    content[5] ^= 4
    (tmp_path / "watermark").write_bytes(content)

    file = WatermarkFile.open(tmp_path / "watermark")

    assert file.damaged_pages == 1
    assert (tmp_path / "watermark").read_bytes() == image(3)
    file.close()


def test_a_missing_cut_grown_zeroed_or_foreign_file_is_lost_storage(tmp_path: Path) -> None:
    whole = image(4)
    contents = [whole[:length] for length in (0, 1, 4096, 8192, FILE_BYTES - 1)]
    contents += [whole + b"\x00", bytes(FILE_BYTES), os.urandom(FILE_BYTES)]
    contents += [bytes(8192) + whole[8192:], whole[:8192] + bytes(8192)]

    for content in contents:
        with pytest.raises(StorageLostError):
            opened(tmp_path / "watermark", content)
    with pytest.raises(StorageLostError, match="missing"):
        WatermarkFile.open(tmp_path / "nothing")


@pytest.mark.parametrize("older", [0, 1, 2, 3, 6, 9])
def test_a_slot_from_another_time_is_lost_storage(tmp_path: Path, older: int) -> None:
    # Write 5 left slot 0 and write 4 left slot 1; an old copy of one slot was put back.
    half = 2 * PAGE_BYTES
    mixed = [image(5)[:half] + image(older)[half:], image(older)[:half] + image(5)[half:]]

    for content in mixed:
        if content in {image(4), image(5), image(6)}:
            continue
        with pytest.raises(StorageLostError):
            opened(tmp_path / "watermark", content)


def test_swapped_slots_are_lost_storage(tmp_path: Path) -> None:
    whole = image(4)

    with pytest.raises(StorageLostError):
        opened(tmp_path / "watermark", whole[2 * PAGE_BYTES :] + whole[: 2 * PAGE_BYTES])


def test_a_newer_release_s_file_is_refused(tmp_path: Path) -> None:
    pages = []
    for sequence in (4, 5):
        record = bytearray(encode_page(sequence, mark(1))[:122])
        record[8] = 2
        checked = bytes(record) + hashlib.sha256(record).digest()
        pages.append(checked.ljust(PAGE_BYTES, b"\x00"))
    content = b"".join(page * COPIES for page in pages)

    with pytest.raises(NewerReleaseError):
        opened(tmp_path / "watermark", content)


@pytest.mark.parametrize("writes", [0, 1, 4])
def test_a_crash_at_any_sector_of_a_write_leaves_the_old_or_the_new(
    tmp_path: Path, writes: int
) -> None:
    before, after = image(writes), image(writes + 1)
    differing = [
        at for at in range(0, FILE_BYTES, SECTOR) if _sector(before, at) != _sector(after, at)
    ]
    assert len(differing) == COPIES, "only the first sector of each copy changes"
    old = mark(writes) if writes else NOTHING_SHOWN

    for landed in itertools.chain.from_iterable(
        itertools.combinations(differing, count) for count in range(COPIES + 1)
    ):
        torn = bytearray(before)
        for at in landed:
            torn[at : at + SECTOR] = _sector(after, at)
        assert opened(tmp_path / "watermark", bytes(torn)) == (mark(writes + 1) if landed else old)


def test_a_crash_within_a_sector_hurts_one_page_and_no_watermark(tmp_path: Path) -> None:
    before, after = image(4), image(5)
    slot = next(
        at for at in range(0, FILE_BYTES, SECTOR) if _sector(before, at) != _sector(after, at)
    )

    for hurt in range(COPIES):
        for other_landed in (False, True):
            torn = bytearray(before)
            for copy in range(COPIES):
                start = slot + copy * PAGE_BYTES
                length = 90 if copy == hurt else SECTOR * other_landed
                torn[start : start + length] = after[start : start + length]
            expected = mark(5) if other_landed else mark(4)
            assert opened(tmp_path / "watermark", bytes(torn)) == expected


def test_a_crash_within_the_repair_at_a_start_takes_nothing_back() -> None:
    # A write that landed in one copy only was found, and may have been acted upon since.
    torn = bytearray(image(4))
    slot = next(
        at
        for at in range(0, FILE_BYTES, SECTOR)
        if torn[at : at + SECTOR] != image(5)[at : at + SECTOR]
    )
    torn[slot : slot + SECTOR] = image(5)[slot : slot + SECTOR]
    found = find_newest(bytes(torn))
    assert found.watermark == mark(5)

    for done in range(len(found.rewrites) + 1):
        content = bytearray(torn)
        for offset, page in found.rewrites[:done]:
            content[offset : offset + PAGE_BYTES] = page
        assert find_newest(bytes(content)).watermark == mark(5)
        if done < len(found.rewrites):
            offset, page = found.rewrites[done]
            content[offset + 20] ^= 1  # hurt, where a sector can tear
            assert find_newest(bytes(content)).watermark == mark(5)


def test_what_was_found_once_is_found_again_whatever_page_is_then_damaged(tmp_path: Path) -> None:
    torn = bytearray(image(4))
    slot = next(
        at
        for at in range(0, FILE_BYTES, SECTOR)
        if torn[at : at + SECTOR] != image(5)[at : at + SECTOR]
    )
    torn[slot : slot + SECTOR] = image(5)[slot : slot + SECTOR]
    assert opened(tmp_path / "watermark", bytes(torn)) == mark(5)
    healed = (tmp_path / "watermark").read_bytes()

    for page in range(4):
        content = bytearray(healed)
        content[page * PAGE_BYTES] ^= 1
        assert find_newest(bytes(content)).watermark == mark(5)


def test_a_failed_write_is_the_last_one(tmp_path: Path) -> None:
    file = WatermarkFile.create(tmp_path / "watermark")
    file.write(mark(1))  # into the first slot; the next goes beyond the limit
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * PAGE_BYTES, hard))
    try:
        with pytest.raises(StorageError) as first:
            file.write(mark(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)

    with pytest.raises(StorageError) as again:
        file.write(mark(4))
    assert again.value is first.value
    assert file.read() in (mark(1), mark(2))
    file.close()
    assert opened(tmp_path / "watermark", (tmp_path / "watermark").read_bytes()) in (
        mark(1),
        mark(2),
    )


def test_a_closed_file_takes_no_write(tmp_path: Path) -> None:
    file = WatermarkFile.create(tmp_path / "watermark")
    file.close()
    file.close()

    with pytest.raises(StorageError):
        file.write(mark(1))


def test_a_file_is_never_created_over_another(tmp_path: Path) -> None:
    WatermarkFile.create(tmp_path / "watermark").close()

    with pytest.raises(StorageError):
        WatermarkFile.create(tmp_path / "watermark")


@pytest.mark.parametrize(
    "step_back",
    [
        {"term": Term(4)},
        {"vote": PeerId(9)},
        {"vote": None},
        {"signed_size": TreeSize(7)},
        {"signed_root": bytes(32)},
        {"last_hash": b"short"},
    ],
)
def test_a_step_back_is_our_own_mistake(tmp_path: Path, step_back: dict[str, object]) -> None:
    file = WatermarkFile.create(tmp_path / "watermark")
    file.write(mark(4))

    with pytest.raises(AssertionError):
        file.write(replace(mark(4), **step_back))  # type: ignore[arg-type]
    file.write(replace(mark(4), last_index=LogIndex(1), last_term=Term(2)))
    file.close()


@pytest.mark.parametrize(
    ("term", "index", "same_hash", "lost"),
    [
        (4, 12, True, False),
        (4, 12, False, True),
        (4, 11, True, True),
        (4, 13, False, False),
        (3, 99, True, True),
        (5, 2, False, False),
        (0, 0, False, True),
    ],
)
def test_a_log_is_shorter_when_its_last_row_is(
    term: int, index: int, same_hash: bool, lost: bool
) -> None:
    last_hash = mark(4).last_hash if same_hash else bytes(32)

    def check() -> None:
        check_log_against(
            mark(4), last_term=Term(term), last_index=LogIndex(index), last_hash=last_hash
        )

    if lost:
        with pytest.raises(StorageLostError):
            check()
    else:
        check()


@pytest.mark.parametrize(
    ("term", "vote", "lost"),
    [(5, 1, False), (5, None, True), (5, 2, True), (4, 1, True), (6, None, False), (6, 2, False)],
)
def test_a_vote_is_lost_when_its_term_or_its_choice_is(
    term: int, vote: int | None, lost: bool
) -> None:
    chosen = None if vote is None else PeerId(vote)

    if lost:
        with pytest.raises(StorageLostError):
            check_vote_against(mark(4), term=Term(term), vote=chosen)
    else:
        check_vote_against(mark(4), term=Term(term), vote=chosen)


def _sector(content: bytes, at: int) -> bytes:
    return content[at : at + SECTOR]
