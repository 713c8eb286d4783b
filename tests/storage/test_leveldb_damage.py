"""INV-21: a damaged byte or file of LevelDB is never served, nor passes for a thinner history."""

import itertools
import shutil
from collections import Counter
from pathlib import Path

import pytest
from caretree.model.errors import FatalError

from tests.storage.stores import PLAIN, SEALED, Rows, create, files_of, put, reopen, rows_of, u64

PLACES = 200  # at least so many in each kind of file, or every byte of a shorter one
ROWS: Rows = [(u64(number), b"%04d" % number * 100) for number in range(210)]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as a crash leaves it: several tables, a log, and a manifest of many records."""
    root = tmp_path_factory.mktemp("damage")
    store = create(root / "live", write_buffer_bytes=64 * 1024)
    for row in ROWS:
        put(store, PLAIN, [row])
        put(store, SEALED, [row], sync=False)
    store.close()
    return root / "live"


def look(path: Path) -> str:
    """What a start makes of the files at `path`."""
    try:
        store = reopen(path)
    except FatalError:
        return "refused at the start"
    try:
        found, sealed = rows_of(store, PLAIN), rows_of(store, SEALED)
        one_by_one = [(key, store.get(PLAIN, key)) for key, _ in found]
    except FatalError:
        return "refused at the read"
    finally:
        store.close()
    if found != one_by_one:
        return "WRONG"
    if found == sealed == ROWS:
        return "whole"
    # The sealed row is written last, so a cut tail leaves both alike or one plain row more.
    if found == ROWS[: len(found)] and sealed in (found, found[:-1]):
        return "shorter"
    return "WRONG"


def outcomes(database: Path, name: str, contents: list[bytes | None], work: Path) -> Counter[str]:
    seen: Counter[str] = Counter()
    for content in contents:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(database, work)
        if content is None:
            (work / name).unlink()
        else:
            (work / name).write_bytes(content)
        seen[look(work)] += 1
    return seen


def flipped(content: bytes, positions: range) -> list[bytes | None]:
    return [
        content[:at] + bytes((content[at] ^ 1 << at % 8,)) + content[at + 1 :] for at in positions
    ]


def test_untouched_files_are_whole(database: Path, tmp_path: Path) -> None:
    names = [file.name for file in files_of(database, "*.ldb")]
    assert len(names) >= 2

    current = (database / "CURRENT").read_bytes()
    assert outcomes(database, "CURRENT", [current], tmp_path / "w") == {"whole": 1}


@pytest.mark.slow
def test_a_flipped_bit_in_a_table_is_an_error_or_harmless(database: Path, tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    tables = files_of(database, "*.ldb")
    for table in tables:
        content = table.read_bytes()
        step = max(1, len(content) // (PLACES // len(tables)))
        tail = range(len(content) - 48, len(content), 5)
        damaged = flipped(content, range(0, len(content), step)) + flipped(content, tail)
        seen += outcomes(database, table.name, damaged, tmp_path / "w")

    assert seen.total() >= PLACES
    # A bloom filter that fails its checksum is left unused: nothing is lost but time.
    assert set(seen) <= {"refused at the start", "refused at the read", "whole"}
    assert seen["refused at the start"] + seen["refused at the read"] > 0.8 * seen.total()


@pytest.mark.slow
def test_a_flipped_bit_in_the_log_is_an_error_or_a_cut_tail(database: Path, tmp_path: Path) -> None:
    [log] = files_of(database, "*.log")
    content = log.read_bytes()
    damaged = flipped(content, range(0, len(content), max(1, len(content) // PLACES)))

    seen = outcomes(database, log.name, damaged, tmp_path / "w")

    assert seen.total() >= PLACES
    # A length that points behind the end of the file looks like a cut; that is the watermark's.
    assert set(seen) <= {"refused at the start", "shorter"}
    assert seen["refused at the start"] > 0.9 * seen.total()


@pytest.mark.slow
def test_a_flipped_bit_anywhere_in_the_manifest_is_an_error(database: Path, tmp_path: Path) -> None:
    [manifest] = files_of(database, "MANIFEST-*")
    content = manifest.read_bytes()

    seen = outcomes(database, manifest.name, flipped(content, range(len(content))), tmp_path / "w")

    assert set(seen) == {"refused at the start"}


@pytest.mark.slow
def test_a_cut_of_the_manifest_is_an_error(database: Path, tmp_path: Path) -> None:
    [manifest] = files_of(database, "MANIFEST-*")
    content = manifest.read_bytes()
    cuts: list[bytes | None] = [content[:length] for length in range(0, len(content), 3)]

    assert set(outcomes(database, manifest.name, cuts, tmp_path / "w")) == {"refused at the start"}


def test_a_flipped_bit_in_the_pointer_to_the_manifest_is_an_error(
    database: Path, tmp_path: Path
) -> None:
    content = (database / "CURRENT").read_bytes()

    seen = outcomes(database, "CURRENT", flipped(content, range(len(content))), tmp_path / "w")

    assert set(seen) == {"refused at the start"}


@pytest.mark.parametrize("pattern", ["*.ldb", "MANIFEST-*", "CURRENT"])
def test_a_missing_or_emptied_file_is_an_error(
    database: Path, tmp_path: Path, pattern: str
) -> None:
    for file in files_of(database, pattern):
        changed: list[bytes | None] = [None, b"", bytes(file.stat().st_size)]
        seen = outcomes(database, file.name, changed, tmp_path / "w")

        assert set(seen) <= {"refused at the start", "refused at the read"}, file.name


def test_a_missing_log_is_a_shorter_history_and_no_other(database: Path, tmp_path: Path) -> None:
    [log] = files_of(database, "*.log")

    seen = outcomes(database, log.name, [None, b""], tmp_path / "w")

    assert set(seen) == {"shorter"}


def test_zeros_in_the_log_are_an_error_or_a_cut_tail(database: Path, tmp_path: Path) -> None:
    [log] = files_of(database, "*.log")
    content = log.read_bytes()
    page = 512
    zeroed: list[bytes | None] = [
        content[:at] + bytes(len(content[at : at + page])) + content[at + page :]
        for at in range(0, len(content), max(page, len(content) // 20))
    ]

    seen = outcomes(database, log.name, zeroed, tmp_path / "w")

    assert set(seen) <= {"refused at the start", "shorter"}


def test_swapped_tables_are_an_error(database: Path, tmp_path: Path) -> None:
    tables = files_of(database, "*.ldb")
    for first, second in itertools.combinations(tables, 2):
        shutil.rmtree(tmp_path / "w", ignore_errors=True)
        shutil.copytree(database, tmp_path / "w")
        shutil.copyfile(second, tmp_path / "w" / first.name)
        shutil.copyfile(first, tmp_path / "w" / second.name)

        seen = look(tmp_path / "w")
        assert seen in {"refused at the start", "refused at the read"}, (first.name, second.name)
