"""How a peer's data directory begins: with block 0, which follows from the genesis alone.

A crash on the way may leave a directory without block 0. Nothing was shown to anyone by then, as
its watermark says, so the same founding may be done again; whatever else is found is left alone.
"""

from contextlib import closing
from pathlib import Path

from caretree.ledger.apply import apply_genesis
from caretree.ledger.chain import load_head
from caretree.ledger.genesis import Genesis
from caretree.ledger.holding import hold_genesis
from caretree.ledger.stored_blocks import store_block
from caretree.storage.directory import DataDirectory, DirectoryState, inspect_directory
from caretree.storage.errors import DataDirectoryExistsError
from caretree.storage.leveldb import LevelDbStore
from caretree.storage.ports import KeyValue
from caretree.storage.row_cipher import RowCipher
from caretree.storage.watermark import NOTHING_SHOWN, WatermarkFile


def create_data_directory(path: Path, *, genesis: Genesis, cipher: RowCipher) -> None:
    """Make the data directory at `path`, with block 0 of this genesis durable in it.

    Does nothing where that was done before and nothing happened since.

    Raises:
        DataDirectoryExistsError: a peer's data are at this path, or parts of them.
        DataDirectoryInUseError: another process holds it.
        StorageError: the disk refused.
    """
    with closing(_open_or_create(path, cipher)) as directory:
        # Read before the database is opened: one that was shown to others is not even touched.
        with closing(WatermarkFile.open(directory.watermark_path)) as watermark:
            if watermark.read() != NOTHING_SHOWN:
                raise DataDirectoryExistsError(path)
        with closing(LevelDbStore.open(directory.database_path, cipher=cipher)) as store:
            _begin(store, genesis, path)


def _open_or_create(path: Path, cipher: RowCipher) -> DataDirectory:
    if inspect_directory(path) is DirectoryState.COMPLETE:
        return DataDirectory.open(path)
    return DataDirectory.create(path, cipher=cipher)


def _begin(store: KeyValue, genesis: Genesis, path: Path) -> None:
    held = hold_genesis(genesis)
    head = load_head(store)
    if head is None:
        batch = apply_genesis(store, genesis).batch
        store_block(batch, held)
        store.write(batch, sync=True)
    elif head.block_hash != held.block.hash:
        raise DataDirectoryExistsError(path)
