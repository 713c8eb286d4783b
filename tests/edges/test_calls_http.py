"""The HTTP port asked for what is not there, or as a hostile client asks."""

import asyncio
import ssl

import pytest

from tests.console.served import FakeLog, Served, open_console

pytestmark = pytest.mark.asyncio


async def said(console: Served, sent: bytes) -> bytes:
    """All that comes back until the connection is closed."""
    reader, writer = await asyncio.open_connection(console.host, console.port)
    writer.write(sent)
    try:
        return await asyncio.wait_for(reader.read(), timeout=20)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def check_answers(console: Served) -> None:
    assert (await console.get("/health/live")).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/metrics/",
        "/../../etc/passwd",
        "/tile/0/../../keystore",
        "/tile/99/000",
        "/tile/0/999/999/999/999",
        "/tile/0/x000/-1",
        "/%00",
        "/tile/" + "x" * 1000,
    ],
)
async def test_an_unknown_path_is_not_there(path: str) -> None:
    async with open_console(FakeLog(certified=600), idle_s_max=1) as console:
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = await said(console, request.encode())
        assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 "))
        await check_answers(console)


@pytest.mark.parametrize(
    "ranges",
    [
        "bytes=0-18446744073709551615",
        "bytes=18446744073709551615-",
        "bytes=" + ",".join(f"{n}-{n}" for n in range(500)),
        "bytes=-0",
        "lines=1-2",
    ],
)
async def test_a_range_is_passed_over_and_the_tile_comes_whole(ranges: str) -> None:
    async with open_console(FakeLog(certified=600), idle_s_max=1) as console:
        head = (
            f"GET /tile/0/001 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nRange: {ranges}\r\n\r\n"
        )
        answer = await said(console, head.encode())
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert len(answer.split(b"\r\n\r\n", 1)[1]) == 256 * 32


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00" + bytes(512),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
        bytes(range(256)) * 64,
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nx",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFF\r\nx",
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789",
        b"\r\n" * 2000,
    ],
    ids=["tls", "http2", "junk", "long body", "long chunk", "post", "empty lines"],
)
async def test_junk_is_refused_or_closed_and_the_next_request_is_answered(sent: bytes) -> None:
    async with open_console(idle_s_max=0.5) as console:
        answer = await said(console, sent)
        assert b" 500 " not in answer
        await check_answers(console)


async def test_tls_is_not_spoken_on_the_http_port() -> None:
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    async with open_console(idle_s_max=0.5) as console:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(console.host, console.port, ssl=tls)
        await check_answers(console)
