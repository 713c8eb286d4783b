"""Who may stay connected: so many at once, and none that says nothing for long.

aiohttp bounds the size of a request, but neither the time that its header takes to arrive nor the
time that its answer takes to be read.
"""

import asyncio
from typing import Final

from aiohttp import web
from typing_extensions import override

CONNECTIONS_MAX: Final = 64
IDLE_S_MAX: Final = 20.0
_SWEEPS_PER_IDLE: Final = 4


class Door:
    """A protocol factory for `loop.create_server`, around aiohttp's own."""

    def __init__(
        self,
        server: web.Server,
        *,
        loop: asyncio.AbstractEventLoop,
        connections_max: int,
        idle_s_max: float,
    ) -> None:
        self._server = server
        self._loop = loop
        self._connections_max = connections_max
        self._idle_s_max = idle_s_max
        # When each connection last sent a whole request, or was made.
        self._heard_at: dict[asyncio.BaseProtocol, float] = {}
        self._timer = loop.call_later(idle_s_max / _SWEEPS_PER_IDLE, self._sweep)

    def __call__(self) -> asyncio.Protocol:
        """The protocol for a connection that was just accepted."""
        if len(self._server.connections) >= self._connections_max:
            return _Refusal()
        connection = self._server()
        self._heard_at[connection] = self._loop.time()
        return connection

    def heard(self, connection: asyncio.BaseProtocol) -> None:
        """Note that a whole request came."""
        self._heard_at[connection] = self._loop.time()

    def close(self) -> None:
        """Look after the connections no longer."""
        self._timer.cancel()

    def _sweep(self) -> None:
        now = self._loop.time()
        live = self._server.connections
        self._heard_at = {connection: self._heard_at.get(connection, now) for connection in live}
        for connection in live:
            if now - self._heard_at[connection] >= self._idle_s_max:
                # Closing alone would wait for a reader that does not read.
                if connection.transport is not None:
                    connection.transport.abort()
                connection.force_close()
        self._timer = self._loop.call_later(self._idle_s_max / _SWEEPS_PER_IDLE, self._sweep)


class _Refusal(asyncio.Protocol):
    """A connection that is closed as soon as it is made."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
