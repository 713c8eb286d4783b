import asyncio

import pytest
from caretree.console.errors import ListenError
from caretree.console.pages import Pages
from caretree.console.server import (
    HEADER_BYTES_MAX,
    HEADERS_MAX,
    REQUEST_LINE_BYTES_MAX,
    serve_console,
)
from caretree.telemetry.health import Health

from tests.console.served import Served, open_console

GET = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("filler", "within", "above"),
    [
        (b"GET /health/live?%s HTTP/1.1\r\nHost: x\r\n\r\n", 1024, REQUEST_LINE_BYTES_MAX + 1),
        (GET + b"X: %s\r\n\r\n", HEADER_BYTES_MAX // 2, HEADER_BYTES_MAX + 1),
    ],
)
async def test_a_long_line_is_refused(filler: bytes, within: int, above: int) -> None:
    async with open_console() as console:
        assert b" 200 OK" in await _say(console, filler % (b"a" * within))
        assert b" 400 Bad Request" in await _say(console, filler % (b"a" * above))


@pytest.mark.asyncio
async def test_many_headers_are_refused() -> None:
    async with open_console() as console:
        within = b"".join(b"X%d: y\r\n" % number for number in range(HEADERS_MAX // 2))
        above = b"".join(b"X%d: y\r\n" % number for number in range(HEADERS_MAX + 1))

        assert b" 200 OK" in await _say(console, GET + within + b"\r\n")
        assert b" 400 Bad Request" in await _say(console, GET + above + b"\r\n")


@pytest.mark.asyncio
async def test_a_connection_that_never_finishes_its_request_is_closed() -> None:
    async with open_console(idle_s_max=0.2) as console:
        reader, writer = await asyncio.open_connection(console.host, console.port)
        writer.write(GET)

        assert await asyncio.wait_for(reader.read(), timeout=10) == b""
        writer.close()


@pytest.mark.asyncio
async def test_a_connection_that_goes_on_asking_stays() -> None:
    async with open_console(idle_s_max=0.4) as console:
        reader, writer = await asyncio.open_connection(console.host, console.port)
        for _ in range(8):
            writer.write(GET + b"\r\n")
            assert b" 200 OK" in await reader.readuntil(b"}\n")
            await asyncio.sleep(0.1)
        writer.close()


@pytest.mark.asyncio
async def test_a_client_that_does_not_read_is_closed() -> None:
    async with open_console(idle_s_max=0.3) as console:
        reader, writer = await asyncio.open_connection(console.host, console.port, limit=1)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(_drain_until_closed(writer), timeout=10)
        writer.close()
        assert not reader.at_eof()


@pytest.mark.asyncio
async def test_one_connection_too_many_is_refused_and_a_later_one_is_not() -> None:
    async with open_console(connections_max=2) as console:
        held = [await asyncio.open_connection(console.host, console.port) for _ in range(2)]
        for reader, writer in held:
            writer.write(GET + b"\r\n")
            await reader.readuntil(b"}\n")

        assert await _say(console, GET + b"\r\n") == b""
        held[0][1].close()
        async with asyncio.timeout(10):
            while b" 200 OK" not in await _say(console, GET + b"\r\n"):
                continue  # the closing takes a moment to be noticed
        held[1][1].close()


@pytest.mark.asyncio
async def test_two_daemons_cannot_share_a_port() -> None:
    async with open_console() as console:
        address = f"{console.host}:{console.port}"
        pages = Pages(exposition=bytes, health=Health(), log=None, on_fatal=_unexpected)

        with pytest.raises(ListenError, match=f"cannot listen on {address}"):
            async with serve_console(pages, address=address):
                pass


async def _say(console: Served, request: bytes) -> bytes:
    """All that the console answers to raw bytes before it is left alone or closes."""
    reader, writer = await asyncio.open_connection(console.host, console.port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(65_536), timeout=10)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def _drain_until_closed(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


def _unexpected(error: Exception) -> None:
    raise AssertionError from error
