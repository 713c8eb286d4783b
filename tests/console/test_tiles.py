import re

import pytest
from caretree.merkle.bundle import decode_entries
from caretree.merkle.hashing import leaf_hash
from caretree.merkle.tiles import TILE_WIDTH, EntryBundle, Tile, partial_tiles, tile_path
from caretree.model.errors import FatalError
from caretree.model.ids import TreeSize
from caretree.model.reasons import CallError, Reason

from tests.console.served import FakeLog, Served, open_console
from tests.merkle.reference import tree_hash

FOR_EVER = "public, max-age=31536000, immutable"


@pytest.mark.asyncio
async def test_a_client_recomputes_the_tree_from_what_is_served() -> None:
    log = FakeLog(certified=515)
    async with open_console(log) as console:
        leaves: list[bytes] = []
        hashes = b""
        for index, width in ((0, 256), (1, 256), (2, 3)):
            bundle = EntryBundle(index=index, width=width)
            leaves += decode_entries(await _fetch(console, bundle), width=width)
            hashes += await _fetch(console, Tile(level=0, index=index, width=width))
        above = await _fetch(console, Tile(level=1, index=0, width=2))

    assert leaves == log.leaves[:515]
    assert hashes == b"".join(leaf_hash(leaf) for leaf in leaves)
    assert above == tree_hash(leaves[:256]) + tree_hash(leaves[256:512])


@pytest.mark.asyncio
async def test_the_partial_tiles_of_every_certified_size_are_served() -> None:
    log = FakeLog(certified=515)
    wanted = {tile for size in range(1, 516) for tile in partial_tiles(TreeSize(size))}
    async with open_console(log) as console:
        answers = {tile: await console.get(f"/{tile_path(tile)}") for tile in wanted}

    assert {tile for tile, answer in answers.items() if answer.status != 200} == set()
    assert all(len(answer.body) == 32 * tile.width for tile, answer in answers.items())


@pytest.mark.asyncio
async def test_tiles_are_bytes_to_be_kept_for_ever_and_checkpoints_text_for_seconds() -> None:
    async with open_console(FakeLog(certified=515)) as console:
        tile, bundle = await console.get("/tile/0/000"), await console.get("/tile/entries/000")
        checkpoint = await console.get("/checkpoint")

    for answer in (tile, bundle):
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Cache-Control"] == FOR_EVER
    assert checkpoint.body == b"note of 515\n"
    assert checkpoint.headers["Content-Type"] == "text/plain; charset=utf-8"
    seconds = re.fullmatch(r"public, max-age=(\d+)", checkpoint.headers["Cache-Control"])
    assert seconds is not None
    assert int(seconds[1]) <= 5


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "path",
    [
        "tile/0/002.p/4",
        "tile/0/002",
        "tile/0/003.p/1",
        "tile/1/000.p/3",
        "tile/1/000",
        "tile/2/000.p/1",
        "tile/entries/002.p/4",
        "tile/entries/002",
    ],
)
async def test_what_is_applied_but_not_certified_is_not_there(path: str) -> None:
    async with open_console(FakeLog(certified=515)) as console:
        answer = await console.get(f"/{path}")

    assert answer.status == 404
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/x000/000",
        "tile/8/0/000",
        "tile/entries/000.p/",
        "tile/0/000/",
        "tile/-1/000",
        "tile/0/\uff10\uff10\uff10",
    ],
)
async def test_a_path_written_otherwise_is_not_there(path: str) -> None:
    async with open_console(FakeLog(certified=515)) as console:
        assert (await console.get(f"/{path}")).status == 404


@pytest.mark.asyncio
async def test_before_the_first_certified_checkpoint_nothing_is_there() -> None:
    async with open_console(FakeLog(certified=0)) as console:
        answers = [await console.get(path) for path in ("/checkpoint", "/tile/0/000.p/1")]

    assert [answer.status for answer in answers] == [404, 404]


@pytest.mark.asyncio
async def test_a_starting_peer_asks_to_come_back() -> None:
    log = FakeLog(certified=515)
    log.failure = CallError(Reason.STARTING)
    async with open_console(log) as console:
        answer = await console.get("/checkpoint")

    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


@pytest.mark.asyncio
async def test_a_failed_store_ends_the_daemon_and_tells_the_client_nothing() -> None:
    log = FakeLog(certified=515)
    log.failure = FatalError("storage: read of a row failed")
    async with open_console(log) as console:
        answer = await console.get("/tile/0/000")

    assert (answer.status, answer.body) == (503, b"stopping\n")
    assert console.fatal == [log.failure]


async def _fetch(console: Served, wanted: Tile | EntryBundle) -> bytes:
    assert 0 < wanted.width <= TILE_WIDTH
    answer = await console.get(f"/{tile_path(wanted)}")
    assert answer.status == 200
    return answer.body
