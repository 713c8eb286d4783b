"""Go's own note and tlog packages verify a log that we wrote, and notice each thing we spoil."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from caretree.merkle.bundle import encode_entries
from caretree.merkle.checkpoint import format_checkpoint
from caretree.merkle.frontier import Frontier
from caretree.merkle.keys import SignatureType, format_vkey
from caretree.merkle.note import Note, format_note
from caretree.merkle.proof import prove_consistency, prove_inclusion
from caretree.merkle.text import encode_base64
from caretree.merkle.tiles import TILE_WIDTH, EntryBundle, Tile, changed_tiles, tile_path
from caretree.model.ids import LeafIndex, TreeSize

from tests.go_tools import build_gonote, run_gonote
from tests.merkle.builders import TiledLog, cosigner, log_signer, make_checkpoint, make_leaves

pytestmark = pytest.mark.slow

INCLUSIONS_MAX = 1000


@pytest.fixture(scope="module")
def gonote(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifying programme, built once for this file."""
    return build_gonote(tmp_path_factory.mktemp("gonote"))


def signed(frontier: Frontier) -> bytes:
    """The checkpoint as it is served: signed by the log, cosigned by two members."""
    text = format_checkpoint(make_checkpoint(frontier))
    lines = (cosigner(0).cosign(text), log_signer().sign(text), cosigner(1).cosign(text))
    return format_note(Note(text=text, lines=lines))


def write(folder: Path, name: str, content: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_log(folder: Path, *, size: int, old_size: int) -> None:
    """A log of `size` leaves as it is served, grown in two batches, and our proofs beside it."""
    leaves = make_leaves(size)
    log = TiledLog()
    log.append(leaves[:old_size])
    write(folder, "checkpoint.old", signed(log.frontier))
    log.append(leaves[old_size:])
    write(folder, "checkpoint", signed(log.frontier))
    write(folder, "vkey", format_vkey(log_signer().verifier(SignatureType.NOTE)).encode())
    for tile in changed_tiles(old_size=TreeSize(0), new_size=TreeSize(size)):
        write(folder, tile_path(tile), log.served(tile))
    for first in range(0, size, TILE_WIDTH):
        entries = leaves[first : first + TILE_WIDTH]
        bundle = EntryBundle(index=first // TILE_WIDTH, width=len(entries))
        write(folder, tile_path(bundle), encode_entries(entries))
    write_proofs(folder, log, TreeSize(old_size))


def write_proofs(folder: Path, log: TiledLog, old_size: TreeSize) -> None:
    """Our inclusion proofs of leaves all over the log, and the consistency of both sizes."""
    size = log.frontier.size
    fetch = log.reader().at(size)
    lines = [
        f"{index} {spell(prove_inclusion(index=LeafIndex(index), size=size, fetch=fetch))}\n"
        for index in indexes(size)
    ]
    write(folder, "inclusion", "".join(lines).encode())
    step = prove_consistency(size1=old_size, size2=size, fetch=fetch)
    write(folder, "consistency", spell(step).encode())


def indexes(size: int) -> Sequence[int]:
    """Every leaf of a small log; of a large one so many, the first and the last among them."""
    if size <= INCLUSIONS_MAX:
        return range(size)
    return [number * (size - 1) // (INCLUSIONS_MAX - 1) for number in range(INCLUSIONS_MAX)]


def spell(hashes: Iterable[bytes]) -> str:
    return " ".join(map(encode_base64, hashes))


@pytest.mark.parametrize(("size", "old_size"), [(1, 1), (256, 255), (300, 256), (70_000, 65_537)])
def test_go_opens_our_checkpoints_and_verifies_every_leaf_and_proof(
    gonote: Path, tmp_path: Path, size: int, old_size: int
) -> None:
    write_log(tmp_path, size=size, old_size=old_size)
    done = run_gonote(gonote, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    proofs = min(size, INCLUSIONS_MAX)
    assert (
        done.stdout
        == f"{size} leaves, {proofs} inclusion proofs, 1 consistency proof, 0 receipts\n"
    )


def spoil(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "place", "complaint"),
    [
        (tile_path(Tile(level=0, index=0, width=256)), 40, "does not hash to its leaf"),
        (tile_path(Tile(level=0, index=1, width=44)), -1, "tiles"),
        (tile_path(Tile(level=1, index=0, width=1)), 0, "tiles"),
        (tile_path(EntryBundle(index=1, width=44)), -1, "does not hash to its leaf"),
        ("checkpoint", 30, "checkpoint"),
        ("checkpoint.old", 30, "checkpoint.old"),
        ("inclusion", 10, "inclusion proof"),
        ("consistency", 10, "consistency proof"),
    ],
)
def test_go_refuses_our_log_when_one_bit_of_it_is_flipped(
    gonote: Path, tmp_path: Path, name: str, place: int, complaint: str
) -> None:
    write_log(tmp_path, size=300, old_size=200)
    spoil(tmp_path / name, place)
    done = run_gonote(gonote, tmp_path)
    assert done.returncode == 1
    assert complaint in done.stderr
