"""A data directory is empty, whole or refused, of a known format, and in one process's hands."""

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from caretree.storage.directory import DataDirectory, DirectoryState, inspect_directory
from caretree.storage.errors import (
    DataDirectoryEmptyError,
    DataDirectoryError,
    DataDirectoryExistsError,
    DataDirectoryInUseError,
    NewerReleaseError,
    StorageLostError,
)
from caretree.storage.watermark import NOTHING_SHOWN, WatermarkFile

from tests.shared import PROJECT_ROOT
from tests.storage.stores import PLAIN, cipher, put, reopen, rows_of


def created(path: Path) -> Path:
    DataDirectory.create(path, cipher=cipher()).close()
    return path


def test_a_created_directory_opens_with_an_empty_store_and_nothing_shown(tmp_path: Path) -> None:
    path = created(tmp_path / "peer")

    directory = DataDirectory.open(path)
    store = reopen(directory.database_path)
    watermark = WatermarkFile.open(directory.watermark_path)

    assert directory.path == path
    assert rows_of(store, PLAIN) == []
    assert watermark.read() == NOTHING_SHOWN
    assert path.stat().st_mode & 0o077 == 0
    watermark.close()
    store.close()
    directory.close()
    directory.close()


def test_an_empty_directory_or_one_with_foreign_files_can_be_filled(tmp_path: Path) -> None:
    (tmp_path / "keystore").write_bytes(b"from before")

    assert inspect_directory(tmp_path) is DirectoryState.EMPTY
    created(tmp_path)

    assert inspect_directory(tmp_path) is DirectoryState.COMPLETE
    assert (tmp_path / "keystore").read_bytes() == b"from before"


def test_an_existing_directory_is_never_begun_anew(tmp_path: Path) -> None:
    path = created(tmp_path / "peer")
    store = reopen(path / "database")
    put(store, PLAIN, [(b"k", b"v")])
    store.close()

    with pytest.raises(DataDirectoryExistsError):
        DataDirectory.create(path, cipher=cipher())

    store = reopen(path / "database")
    assert rows_of(store, PLAIN) == [(b"k", b"v")]
    store.close()


@pytest.mark.parametrize("path", ["nothing", "."])
def test_an_absent_or_empty_directory_is_not_opened(tmp_path: Path, path: str) -> None:
    with pytest.raises(DataDirectoryEmptyError):
        DataDirectory.open(tmp_path / path)


@pytest.mark.parametrize("part", ["VERSION", "watermark", "database"])
def test_a_directory_without_one_of_its_parts_is_refused_by_all(tmp_path: Path, part: str) -> None:
    path = created(tmp_path / "peer")
    if part == "database":
        shutil.rmtree(path / part)
    else:
        (path / part).unlink()

    assert inspect_directory(path) is DirectoryState.INCOMPLETE
    with pytest.raises(StorageLostError, match=part):
        DataDirectory.open(path)
    with pytest.raises(DataDirectoryExistsError):
        DataDirectory.create(path, cipher=cipher())


def test_an_emptied_database_is_lost_storage(tmp_path: Path) -> None:
    path = created(tmp_path / "peer")
    for file in (path / "database").iterdir():
        file.unlink()

    DataDirectory.open(path).close()
    with pytest.raises(StorageLostError):
        reopen(path / "database")


@pytest.mark.parametrize("text", ["format 2\nsuite 1", "format 1\nsuite 2", "format 70\nsuite 9"])
def test_a_newer_directory_is_refused(tmp_path: Path, text: str) -> None:
    path = created(tmp_path / "peer")
    (path / "VERSION").write_text(f"caretree data directory\n{text}\n", encoding="ascii")

    with pytest.raises(NewerReleaseError):
        DataDirectory.open(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"caretree data directory\nformat 1\nsuite 1", b"format 0", b"\xff" * 40],
)
def test_a_damaged_version_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = created(tmp_path / "peer")
    (path / "VERSION").write_bytes(content)

    with pytest.raises(DataDirectoryError, match="VERSION"):
        DataDirectory.open(path)


def test_the_version_file_is_the_documented_one(tmp_path: Path) -> None:
    path = created(tmp_path / "peer")

    assert (path / "VERSION").read_bytes() == b"caretree data directory\nformat 1\nsuite 1\n"


def test_a_directory_is_in_one_pair_of_hands(tmp_path: Path) -> None:
    held = DataDirectory.create(tmp_path / "peer", cipher=cipher())

    with pytest.raises(DataDirectoryInUseError):
        DataDirectory.open(tmp_path / "peer")
    with pytest.raises(DataDirectoryInUseError):
        DataDirectory.create(tmp_path / "peer", cipher=cipher())

    held.close()
    DataDirectory.open(tmp_path / "peer").close()


def test_a_directory_is_refused_to_another_process_until_its_holder_dies(tmp_path: Path) -> None:
    path = created(tmp_path / "peer")
    program = """
        import sys
        from pathlib import Path
        from caretree.storage.directory import DataDirectory
        held = DataDirectory.open(Path(sys.argv[1]))
        print("held", flush=True)
        sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=PROJECT_ROOT,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DataDirectoryInUseError):
            DataDirectory.open(path)
        holder.kill()
        holder.wait(timeout=30)

    DataDirectory.open(path).close()


def test_a_refusal_lets_go_of_the_lock(tmp_path: Path) -> None:
    path = created(tmp_path / "peer")
    version = (path / "VERSION").read_bytes()
    (path / "VERSION").write_bytes(b"damaged")
    with pytest.raises(DataDirectoryError):
        DataDirectory.open(path)
    with pytest.raises(DataDirectoryExistsError):
        DataDirectory.create(path, cipher=cipher())
    (path / "VERSION").write_bytes(version)

    DataDirectory.open(path).close()
