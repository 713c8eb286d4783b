"""HTTP/2 by hand (RFC 9113): a client that says what no well-behaved library lets one say.

async with opened(address, tls) as wire:
    await wire.say(headers(1, CHECK), reset(1))
"""

import asyncio
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    *(0, 1, 3, 4, 6, 7, 8, 9),
)
ACK = END_STREAM = 0x1
END_HEADERS: Final = 0x4
CANCEL: Final = 0x8
ENHANCE_YOUR_CALM: Final = 0xB

APPEND: Final = "/caretree.api.v1.RecordService/Append"
APPEND_STREAM: Final = "/caretree.api.v1.RecordService/AppendStream"
LIST_HISTORY: Final = "/caretree.api.v1.RecordService/ListHistory"
STATUS: Final = "/caretree.api.v1.OperationService/GetStatus"


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    """A frame (section 4.1)."""
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def headers(
    stream: int, path: str, *, timeout: str | None = "5S", more: Iterable[tuple[str, str]] = ()
) -> bytes:
    """The beginning of a gRPC call, whose message is still to come."""
    return frame(HEADERS, block(path, timeout, more), flags=END_HEADERS, stream=stream)


def block(path: str, timeout: str | None, more: Iterable[tuple[str, str]] = ()) -> bytes:
    """The header fields of a gRPC call, each a literal that is not indexed (RFC 7541, 6.2.2)."""
    fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", path),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        *(() if timeout is None else (("grpc-timeout", timeout),)),
        *more,
    ]
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)


def message(stream: int, content: bytes, *, end: bool = True) -> bytes:
    """One gRPC message, small enough for one frame."""
    flags = END_STREAM if end else 0
    return frame(DATA, struct.pack("!BI", 0, len(content)) + content, flags=flags, stream=stream)


def reset(stream: int) -> bytes:
    """A call given up."""
    return frame(RST_STREAM, struct.pack("!I", CANCEL), stream=stream)


def ping() -> bytes:
    """A question whether anybody is there."""
    return frame(PING, b"edges!!!")


@dataclass(slots=True)
class Wire:
    """A connection; what was heard on it is counted by the kind of frame."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heard: Counter[int] = field(default_factory=Counter)
    resets: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    data_bytes: int = 0
    goaway: tuple[int, bytes] | None = None
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def say(self, *frames: bytes) -> bool:
        """Send; False when the other side has closed the connection."""
        if self.closed.is_set():
            return False
        try:
            self.writer.write(b"".join(frames))
            await self.writer.drain()
        except (ConnectionError, ssl.SSLError):
            self.closed.set()
        return not self.closed.is_set()

    async def listen(self) -> None:
        """Count frames until the connection ends."""
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while True:
                head = await self.reader.readexactly(9)
                length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
                stream = int.from_bytes(head[5:], "big")
                payload = await self.reader.readexactly(length)
                self.heard[kind] += 1
                self.data_bytes += length if kind == DATA else 0
                if kind == GOAWAY:
                    self.goaway = (int.from_bytes(payload[4:8], "big"), payload[8:])
                elif kind == RST_STREAM:
                    self.resets.add(stream)
                elif kind in {HEADERS, DATA} and flags & END_STREAM:
                    self.ended.add(stream)
        self.closed.set()


@asynccontextmanager
async def opened(address: str, tls: ssl.SSLContext, *, name: str) -> AsyncIterator[Wire]:
    """A connection that has said its preface and settings, and listens."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(
        host, int(port), ssl=tls, server_hostname=name, ssl_shutdown_timeout=1
    )
    wire = Wire(reader, writer)
    listening = asyncio.ensure_future(wire.listen())
    try:
        await wire.say(PREFACE, frame(SETTINGS), frame(SETTINGS, flags=ACK))
        yield wire
    finally:
        listening.cancel()
        writer.transport.abort()
        await asyncio.gather(listening, return_exceptions=True)


def _text(text: str) -> bytes:
    """A string literal without Huffman coding (RFC 7541, 5.2), its length in the 7-bit prefix."""
    encoded = text.encode()
    if len(encoded) < 127:
        return bytes([len(encoded)]) + encoded
    rest, prefix = len(encoded) - 127, bytearray([127])
    while rest >= 128:
        prefix.append(rest % 128 + 128)
        rest //= 128
    return bytes([*prefix, rest]) + encoded
