"""Stores to test with: the real door on a real disk, and the fake."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from caretree.storage.keys import Table
from caretree.storage.leveldb import LevelDbStore
from caretree.storage.ports import Batch, KeyValue, Reads
from caretree.storage.row_cipher import RowCipher

STORAGE_KEY: Final = bytes(range(32))
PLAIN: Final = Table.PAYLOAD
SEALED: Final = Table.BODY

Rows = list[tuple[bytes, bytes]]


class SystemBytes:
    """Random bytes of the operating system."""

    def random_bytes(self, length: int) -> bytes:
        return os.urandom(length)


def cipher(storage_key: bytes = STORAGE_KEY) -> RowCipher:
    return RowCipher(storage_key, random=SystemBytes())


def create(path: Path, *, write_buffer_bytes: int | None = None) -> LevelDbStore:
    if write_buffer_bytes is None:
        return LevelDbStore.create(path, cipher=cipher())
    return LevelDbStore.create(path, cipher=cipher(), write_buffer_bytes=write_buffer_bytes)


def reopen(path: Path, *, storage_key: bytes = STORAGE_KEY) -> LevelDbStore:
    return LevelDbStore.open(path, cipher=cipher(storage_key))


def batch(*rows: tuple[Table, bytes, bytes | None]) -> Batch:
    return Batch(rows=list(rows))


def put(
    store: KeyValue, table: Table, rows: Iterable[tuple[bytes, bytes]], *, sync: bool = True
) -> None:
    store.write(batch(*((table, key, value) for key, value in rows)), sync=sync)


def rows_of(store: Reads, table: Table) -> Rows:
    return list(store.scan(table))


def u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


def files_of(path: Path, pattern: str) -> list[Path]:
    found = sorted(path.glob(pattern))
    assert found, f"no {pattern} in {path}"
    return found
