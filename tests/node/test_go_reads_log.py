"""The log as three real peers sign and serve it is verified by Go's own note and tlog packages."""

import asyncio
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest
from caretree.console.pages import Pages
from caretree.console.server import serve_console
from caretree.ledger.certificate import log_key
from caretree.merkle.checkpoint import parse_checkpoint
from caretree.merkle.keys import format_vkey
from caretree.merkle.note import parse_note
from caretree.merkle.text import encode_base64
from caretree.merkle.tiles import TILE_WIDTH, EntryBundle, changed_tiles, tile_path
from caretree.merkle.tlog_proof import parse_tlog_proof
from caretree.model.errors import FatalError
from caretree.model.ids import LeafIndex, TreeSize
from caretree.telemetry.health import Health

from tests.go_tools import build_gonote, run_gonote
from tests.ledger.builders import HOSPITAL, TOWN
from tests.node import asking
from tests.node.cluster import Seat, Seats, cluster, level, record

RECORDS: Final = 150  # twice: more leaves than one tile is wide
RECEIPTS: Final = 20
FETCH_S: Final = 10.0

pytestmark = [pytest.mark.processes, pytest.mark.slow]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of three peers, as one of them served it, with proofs and receipts beside it."""
    folder = tmp_path_factory.mktemp("served")
    asyncio.run(_live(tmp_path_factory.mktemp("peers"), folder))
    return folder


@pytest.fixture(scope="module")
def gonote(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifying programme, built once for this file."""
    return build_gonote(tmp_path_factory.mktemp("gonote"))


def test_go_verifies_what_a_peer_serves_and_the_receipts_it_gave(
    gonote: Path, served: Path
) -> None:
    done = run_gonote(gonote, served)

    assert (done.returncode, done.stderr) == (0, "")
    leaves, proofs, _, receipts = (part.split()[0] for part in done.stdout.split(", "))
    assert int(leaves) > TILE_WIDTH
    assert (int(proofs), int(receipts)) == (RECEIPTS, 2 * RECEIPTS)


def test_the_checkpoints_bear_a_line_of_the_log_and_a_quorum_of_co_signatures(
    served: Path,
) -> None:
    note = parse_note((served / "checkpoint").read_bytes())
    origin = parse_checkpoint(note.text).origin

    log_lines = [line for line in note.lines if line.name == origin]
    assert len(log_lines) >= 1
    assert len({line.name for line in note.lines} - {origin}) >= 2


@pytest.mark.parametrize(
    ("name", "place", "complaint"),
    [
        ("checkpoint", None, "checkpoint"),
        ("checkpoint.old", None, "checkpoint.old"),
        ("tile/0/000", 40, "does not hash to its leaf"),
        ("tile/entries/000", -1, "does not hash to its leaf"),
        ("receipts/0000", None, "receipt 0000"),
    ],
)
def test_go_refuses_what_a_peer_served_when_one_bit_of_it_is_flipped(
    gonote: Path, served: Path, name: str, place: int | None, complaint: str
) -> None:
    path = served / name
    kept = path.read_bytes()
    spoiled = bytearray(kept)
    spoiled[place if place is not None else _place_of_root(kept)] ^= 1
    path.write_bytes(spoiled)
    try:
        done = run_gonote(gonote, served)
    finally:
        path.write_bytes(kept)

    assert done.returncode == 1
    assert complaint in done.stderr


def _place_of_root(note: bytes) -> int:
    """Where the root begins in a note, or in a receipt's note: on the third line."""
    begin = note.find(b"\n\n") + 2 if note.startswith(b"c2sp.org/") else 0
    for _ in range(2):
        begin = note.index(b"\n", begin) + 1
    return begin


async def _live(path: Path, folder: Path) -> None:
    async with cluster(path) as seats:
        await _fill(seats, folder, first=0)
        (folder / "checkpoint.old").write_bytes(seats[TOWN].peer.checkpoint().note)
        leaves = await _fill(seats, folder, first=RECORDS)
        _write_proofs(seats[TOWN], folder, leaves)
        pages = Pages(
            exposition=bytes, health=Health(), log=seats[TOWN].peer, on_fatal=_fail_the_test
        )
        async with serve_console(pages, address="127.0.0.1:0") as (host, port):
            await asyncio.to_thread(_fetch_all, f"http://{host}:{port}", folder)


async def _fill(seats: Seats, folder: Path, *, first: int) -> list[LeafIndex]:
    """Records, a grant and a reading; receipts and leaf indexes of the first of these records."""
    commands = [record(f"G{number}", b"a check-up") for number in range(first, first + RECORDS)]
    answers = (await asking.append(seats[TOWN], *commands))[:RECEIPTS]
    for number, answer in enumerate(answers, start=first):
        _write(folder, f"receipts/{number:04}", answer.entry.receipt)
    await asking.grant(seats[TOWN], f"G{first}", HOSPITAL)
    await asking.history(seats[HOSPITAL], f"G{first}")
    await level(seats.values())
    return [answer.entry.position.leaf_index for answer in answers]


def _write_proofs(seat: Seat, folder: Path, leaves: Iterable[LeafIndex]) -> None:
    """The peer's own proofs at its newest checkpoint, and the keys that sign for the log."""
    old = parse_checkpoint(parse_note((folder / "checkpoint.old").read_bytes()).text)
    hashes, _ = seat.peer.consistency_proof(old.size, None)
    _write(folder, "consistency", _spell(hashes).encode())
    proofs = [parse_tlog_proof(seat.peer.receipt_of_leaf(leaf).receipt) for leaf in leaves]
    lines = [f"{proof.index} {_spell(proof.hashes)}\n" for proof in proofs]
    _write(folder, "inclusion", "".join(lines).encode())
    keys = [format_vkey(log_key(seat.genesis.origin, voter)) for voter in seat.genesis.voters]
    _write(folder, "vkey", "".join(f"{key}\n" for key in keys).encode())


def _fetch_all(base: str, folder: Path) -> None:
    """The checkpoint, and every tile and entry bundle of its tree, over HTTP."""
    _write(folder, "checkpoint", _get(f"{base}/checkpoint"))
    size = parse_checkpoint(parse_note((folder / "checkpoint").read_bytes()).text).size
    for tile in changed_tiles(old_size=TreeSize(0), new_size=size):
        _write(folder, tile_path(tile), _get(f"{base}/{tile_path(tile)}"))
        if tile.level == 0:
            bundle = tile_path(EntryBundle(index=tile.index, width=tile.width))
            _write(folder, bundle, _get(f"{base}/{bundle}"))


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=FETCH_S) as response:
        content: bytes = response.read()
        return content


def _write(folder: Path, name: str, content: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _spell(hashes: Iterable[bytes]) -> str:
    return " ".join(map(encode_base64, hashes))


def _fail_the_test(failure: FatalError) -> None:
    raise failure
