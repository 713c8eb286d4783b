"""Small files are whole or as before, and files of secrets are for their owner alone."""

import os
from pathlib import Path

import pytest
from caretree.storage.errors import DiskSpaceError, SecretFileError, StorageError
from caretree.storage.files import (
    FILE_BYTES_MAX,
    free_bytes,
    read_file,
    read_secret_file,
    require_free_bytes,
    write_file,
    write_secret_file,
)


def test_a_secret_file_reads_as_written_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_secret_file(tmp_path / "keystore", b"secrets")
    finally:
        os.umask(before)

    assert read_secret_file(tmp_path / "keystore") == b"secrets"
    assert (tmp_path / "keystore").stat().st_mode & 0o777 == 0o600


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_secret_file(tmp_path / "keystore", b"a long first content")
    write_secret_file(tmp_path / "keystore", b"second")

    assert read_secret_file(tmp_path / "keystore") == b"second"
    assert [file.name for file in tmp_path.iterdir()] == ["keystore"]


def test_what_a_crash_left_half_written_is_neither_read_nor_in_the_way(tmp_path: Path) -> None:
    write_secret_file(tmp_path / "keystore", b"first")
    (tmp_path / ".keystore.new").write_bytes(b"half")

    assert read_secret_file(tmp_path / "keystore") == b"first"
    write_secret_file(tmp_path / "keystore", b"second")

    assert read_secret_file(tmp_path / "keystore") == b"second"
    assert [file.name for file in tmp_path.iterdir()] == ["keystore"]


def test_a_link_in_the_way_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"untouched")
    (tmp_path / ".keystore.new").symlink_to(tmp_path / "elsewhere")

    write_secret_file(tmp_path / "keystore", b"secrets")

    assert (tmp_path / "elsewhere").read_bytes() == b"untouched"
    assert not (tmp_path / "keystore").is_symlink()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o660, 0o777])
def test_a_secret_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    write_secret_file(tmp_path / "keystore", b"secrets")
    (tmp_path / "keystore").chmod(mode)

    with pytest.raises(SecretFileError) as caught:
        read_secret_file(tmp_path / "keystore")
    assert caught.value.mode == mode
    assert "chmod 600" in caught.value.message


@pytest.mark.parametrize("mode", [0o400, 0o600])
def test_a_secret_file_of_its_owner_alone_is_read(tmp_path: Path, mode: int) -> None:
    write_secret_file(tmp_path / "keystore", b"secrets")
    (tmp_path / "keystore").chmod(mode)

    assert read_secret_file(tmp_path / "keystore") == b"secrets"


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_file(tmp_path / "nothing") is None
    assert read_secret_file(tmp_path / "nothing") is None


def test_a_file_of_the_largest_size_is_read_and_one_above_is_refused(tmp_path: Path) -> None:
    write_file(tmp_path / "file", bytes(FILE_BYTES_MAX), mode=0o600)
    assert read_file(tmp_path / "file") == bytes(FILE_BYTES_MAX)

    write_file(tmp_path / "file", bytes(FILE_BYTES_MAX + 1), mode=0o600)
    with pytest.raises(StorageError):
        read_file(tmp_path / "file")
    with pytest.raises(StorageError):
        read_secret_file(tmp_path / "file")


def test_a_refusing_disk_leaves_the_old_file(tmp_path: Path) -> None:
    write_secret_file(tmp_path / "keystore", b"first")
    (tmp_path / ".keystore.new").mkdir()

    with pytest.raises(StorageError):
        write_secret_file(tmp_path / "keystore", b"second")
    assert read_secret_file(tmp_path / "keystore") == b"first"

    with pytest.raises(StorageError):
        write_secret_file(tmp_path / "no-folder" / "keystore", b"second")
    with pytest.raises(StorageError):
        read_file(tmp_path)


def test_the_free_space_is_what_the_file_system_says(tmp_path: Path) -> None:
    free = free_bytes(tmp_path)

    assert 0 < free < 1 << 60
    require_free_bytes(tmp_path, needed=1)
    with pytest.raises(DiskSpaceError) as caught:
        require_free_bytes(tmp_path, needed=1 << 62)
    assert caught.value.needed == 1 << 62
    with pytest.raises(StorageError):
        free_bytes(tmp_path / "nothing")
