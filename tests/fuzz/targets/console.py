"""Paths of the HTTP port, below the log's tiles."""

import asyncio
from dataclasses import dataclass, field
from functools import cache
from typing import Final, cast

from aiohttp import web
from caretree.console.pages import Pages
from caretree.merkle.tiles import parse_tile_path
from caretree.telemetry.health import Health

from tests.console.served import APPLIED, FakeLog
from tests.fuzz.target import Shape, Target
from tests.fuzz.targets.merkle import text_of

_FOUND, _NOT_HERE = 200, 404


@dataclass(frozen=True, slots=True)
class _Request:
    """What the page of tiles looks at."""

    match_info: dict[str, str]
    protocol: asyncio.BaseProtocol = field(default_factory=asyncio.BaseProtocol)


@cache
def _pages() -> Pages:
    def never(error: Exception) -> None:
        raise error

    return Pages(
        exposition=lambda: b"", health=Health(), log=FakeLog(certified=APPLIED), on_fatal=never
    )


def _run_tile(data: bytes) -> None:
    """Whatever the path, there is an answer: what it names, or that it is not here."""
    path = text_of(data)
    request = cast("web.Request", _Request({"path": path}))
    response = asyncio.run(_answered(request))
    assert response.status in {_FOUND, _NOT_HERE}
    if response.status == _FOUND:
        assert parse_tile_path(path).width > 0


async def _answered(request: web.Request) -> web.StreamResponse:
    pages = _pages()
    return await pages._answer(request, pages._tile)


TARGETS: Final = (
    Target(
        name="http-tile",
        run=_run_tile,
        errors=(),
        seeds=lambda: [b"tile/0/000", b"tile/0/001", b"tile/1/000.p/2", b"tile/entries/002.p/88"],
        covers=(Pages,),
        shape=Shape.TEXT,
        words=(b"tile/", b"entries/", b"x000/", b".p/", b"/../", b"%2e", b"\x00", b"//"),
    ),
)
