"""A log that Tessera wrote is read and verified whole, and rebuilt by our code byte for byte."""

import re
from pathlib import Path

import pytest
from caretree.merkle.bundle import decode_entries, encode_entries
from caretree.merkle.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from caretree.merkle.frontier import EMPTY_FRONTIER, grow, read_frontier
from caretree.merkle.hashing import leaf_hash
from caretree.merkle.keys import VerifierKey, parse_vkey
from caretree.merkle.nodes import NodeReader
from caretree.merkle.note import Note, format_note, open_note, parse_note
from caretree.merkle.policy import Log, Policy, verify_checkpoint
from caretree.merkle.proof import prove_consistency, prove_inclusion
from caretree.merkle.tiles import EntryBundle, Tile, tile_path
from caretree.merkle.verify import verify_consistency, verify_inclusion
from caretree.model.errors import VerificationError
from caretree.model.ids import LeafIndex, TreeSize

from tests.merkle.builders import TiledLog, check_signature
from tests.shared import shared_path

pytestmark = pytest.mark.vectors

SIZE = 15


class ServedTiles:
    """The tiles as files, each read at exactly the width asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read_tile(self, tile: Tile) -> bytes:
        return (self.folder / tile_path(tile)).read_bytes()


def log_folder() -> Path:
    return shared_path("vectors/tessera-log")


def source() -> str:
    return (log_folder() / "SOURCE.txt").read_text(encoding="utf-8")


def log_key() -> VerifierKey:
    match = re.search(r"vkey: (\S+)", source())
    assert match
    return parse_vkey(match[1])


def read_note(name: str) -> Note:
    content = (log_folder() / name).read_bytes()
    note = parse_note(content)
    assert format_note(note) == content
    return note


def read_checkpoint(size: int) -> Checkpoint:
    opened = open_note(read_note(f"checkpoint.{size}"), [log_key()], check_signature)
    return parse_checkpoint(opened.text)


def entries(size: int = SIZE) -> tuple[bytes, ...]:
    path = tile_path(EntryBundle(index=0, width=size))
    return decode_entries((log_folder() / path).read_bytes(), width=size)


def test_every_checkpoint_is_signed_by_the_log_and_written_as_we_write_it() -> None:
    policy = Policy(logs=(Log(key=log_key(), url=None),), witnesses=(), groups=(), quorum="none")
    for size in range(SIZE + 1):
        note = read_note(f"checkpoint.{size}")
        verified = verify_checkpoint(note, policy, check_signature)
        assert verified.checkpoint.size == size
        assert format_checkpoint(verified.checkpoint) == note.text
    assert read_note("checkpoint") == read_note(f"checkpoint.{SIZE}")


def test_a_changed_checkpoint_of_the_log_is_refused() -> None:
    note = read_note("checkpoint.7")
    changed = Note(text=read_note("checkpoint.8").text, lines=note.lines)
    with pytest.raises(VerificationError):
        open_note(changed, [log_key()], check_signature)


def test_our_tree_over_its_entries_has_its_root_at_every_size() -> None:
    hashes = [leaf_hash(entry) for entry in entries()]
    for size in range(SIZE + 1):
        frontier = grow(EMPTY_FRONTIER, hashes[:size]).after
        assert frontier.root() == read_checkpoint(size).root


def test_its_entries_are_the_words_that_its_source_lists() -> None:
    match = re.search(r"entries in order: ([a-z ]+)\.", source())
    assert match
    assert b" ".join(entries()).decode() == match[1]


def test_our_tiles_and_bundles_are_its_own_byte_for_byte() -> None:
    folder = log_folder()
    log = TiledLog()
    for size, entry in enumerate(entries(), start=1):
        log.append([entry])
        tile = Tile(level=0, index=0, width=size)
        assert log.served(tile) == (folder / tile_path(tile)).read_bytes()
        bundle = (folder / tile_path(EntryBundle(index=0, width=size))).read_bytes()
        assert encode_entries(entries()[:size]) == bundle
        assert decode_entries(bundle, width=size) == entries()[:size]


def test_every_entry_is_proven_from_its_tiles_at_every_size() -> None:
    hashes = [leaf_hash(entry) for entry in entries()]
    for size in range(1, SIZE + 1):
        fetch = NodeReader(ServedTiles(log_folder())).at(TreeSize(size))
        root = read_checkpoint(size).root
        assert read_frontier(TreeSize(size), fetch).root() == root
        for index in range(size):
            proof = prove_inclusion(index=LeafIndex(index), size=TreeSize(size), fetch=fetch)
            verify_inclusion(
                index=index, size=size, leaf_hash=hashes[index], proof=proof, root=root
            )


def test_every_two_of_its_checkpoints_are_proven_consistent() -> None:
    fetch = NodeReader(ServedTiles(log_folder())).at(TreeSize(SIZE))
    roots = [read_checkpoint(size).root for size in range(SIZE + 1)]
    for size2 in range(1, SIZE + 1):
        for size1 in range(1, size2 + 1):
            proof = prove_consistency(size1=TreeSize(size1), size2=TreeSize(size2), fetch=fetch)
            verify_consistency(
                size1=size1, size2=size2, proof=proof, root1=roots[size1], root2=roots[size2]
            )
