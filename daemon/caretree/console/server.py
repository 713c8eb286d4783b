"""The HTTP port, open for as long as its block runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from caretree.config.section import split_address
from caretree.console.door import CONNECTIONS_MAX, IDLE_S_MAX, Door
from caretree.console.errors import ListenError
from caretree.console.pages import Pages
from caretree.model.limits import KIB

REQUEST_LINE_BYTES_MAX: Final = 2 * KIB
HEADER_BYTES_MAX: Final = 4 * KIB
HEADERS_MAX: Final = 64
_SHUTDOWN_S: Final = 1.0
_BACKLOG: Final = 64


@asynccontextmanager
async def serve_console(
    pages: Pages,
    *,
    address: str,
    connections_max: int = CONNECTIONS_MAX,
    idle_s_max: float = IDLE_S_MAX,
) -> AsyncIterator[tuple[str, int]]:
    """The host and port that the pages are served at, until the block ends.

    Raises:
        ListenError: the address cannot be listened on.
    """
    runner = web.AppRunner(
        pages.application(),
        access_log=None,
        keepalive_timeout=idle_s_max,
        lingering_time=0,
        shutdown_timeout=_SHUTDOWN_S,
        max_line_size=REQUEST_LINE_BYTES_MAX,
        max_field_size=HEADER_BYTES_MAX,
        max_headers=HEADERS_MAX,
    )
    await runner.setup()
    assert runner.server is not None
    door = Door(
        runner.server,
        loop=asyncio.get_running_loop(),
        connections_max=connections_max,
        idle_s_max=idle_s_max,
    )
    pages.on_request = door.heard
    try:
        listener = await _listen(door, address)
        try:
            yield listener.sockets[0].getsockname()[:2]
        finally:
            listener.close()
    finally:
        door.close()
        await runner.cleanup()


async def _listen(door: Door, address: str) -> asyncio.Server:
    host, port = split_address(address)
    loop = asyncio.get_running_loop()
    try:
        # With reuse_port a second daemon would silently share the port.
        return await loop.create_server(door, host, port, backlog=_BACKLOG, reuse_port=False)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ListenError(address, reason=reason) from error
