"""A client of HTTP/2 written by hand, for what gRPC's own cannot be told to do: an older TLS."""

import socket
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.certificates import KeyPair
from tests.edges.http2 import (
    ACK,
    DATA,
    END_STREAM,
    HEADERS,
    PREFACE,
    SETTINGS,
    frame,
    headers,
    message,
)

_HEADER_TABLE_SIZE: Final = 0x1
_FRAME_HEAD_BYTES: Final = 9
_WAIT_S: Final = 10.0


class Connection:
    """Calls, one after the other, each of an empty message."""

    def __init__(self, secure: ssl.SSLSocket) -> None:
        self._secure = secure
        self._stream = -1
        # With a table of size 0 the server writes every header out (RFC 7541 4.2).
        size = _HEADER_TABLE_SIZE.to_bytes(2, "big") + bytes(4)
        secure.sendall(PREFACE + frame(SETTINGS, size))

    def call(self, path: str) -> bytes:
        """The headers and messages that the call is answered by, as they travel.

        Raises:
            ConnectionError: the server ends the connection.
        """
        self._stream += 2
        self._secure.sendall(headers(self._stream, path) + message(self._stream, b""))
        answer = b""
        while True:
            kind, flags, stream, payload = self._read_frame()
            if kind == SETTINGS and not flags & ACK:
                self._secure.sendall(frame(SETTINGS, flags=ACK))
            if stream == self._stream and kind in {DATA, HEADERS}:
                answer += payload
                if flags & END_STREAM:
                    return answer

    def _read_frame(self) -> tuple[int, int, int, bytes]:
        head = self._read(_FRAME_HEAD_BYTES)
        return head[3], head[4], int.from_bytes(head[5:], "big"), self._read(_size(head))

    def _read(self, size: int) -> bytes:
        read = b""
        while len(read) < size:
            chunk = self._secure.recv(size - len(read))
            if not chunk:
                raise ConnectionResetError
            read += chunk
        return read


@contextmanager
def connection(
    address: str, *, authority: bytes, pair: KeyPair, version: ssl.TLSVersion, name: str
) -> Iterator[Connection]:
    """A connection of exactly this version of TLS, to who bears this name.

    Raises:
        ssl.SSLError: the handshake fails.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pair.pem")
        file.write_bytes(pair.certificate + pair.key)
        context.load_cert_chain(file)
    context.load_verify_locations(cadata=authority.decode())
    host, port = address.rsplit(":", 1)
    with (
        socket.create_connection((host, int(port)), timeout=_WAIT_S) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        yield Connection(secure)


def _size(head: bytes) -> int:
    return int.from_bytes(head[:3], "big")
