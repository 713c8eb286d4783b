"""The pages of the HTTP port: each a function of what the daemon knows now."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import orjson
from aiohttp import web

from caretree.console.published import PublishedLog, read_published
from caretree.merkle.tiles import parse_tile_path
from caretree.model.errors import FatalError, MalformedError
from caretree.model.reasons import CallError, Reason
from caretree.telemetry.health import Health
from caretree.telemetry.metrics import EXPOSITION_CONTENT_TYPE

RETRY_AFTER_S: Final = 1
# A tile's bytes never change; a checkpoint's successor is there within seconds.
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_BRIEFLY: Final = "public, max-age=2"
_NEVER: Final = "no-store"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Pages:
    """What is served. `log` is None where tiles are not open."""

    __slots__ = ("_exposition", "_health", "_log", "_on_fatal", "on_request")

    def __init__(
        self,
        *,
        exposition: Callable[[], bytes],
        health: Health,
        log: PublishedLog | None,
        on_fatal: Callable[[FatalError], None],
    ) -> None:
        self._exposition = exposition
        self._health = health
        self._log = log
        self._on_fatal = on_fatal
        # Who wants to know that a connection sent a whole request: the door, once there is one.
        self.on_request: Callable[[asyncio.BaseProtocol], None] = _nobody

    def application(self) -> web.Application:
        """The pages under their paths. No request carries a body."""
        application = web.Application(middlewares=[self._answer], client_max_size=1)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/health/live", self._live)
        application.router.add_get("/health/ready", self._ready)
        if self._log is not None:
            application.router.add_get("/checkpoint", self._checkpoint)
            application.router.add_get("/{path:tile/.+}", self._tile)
        return application

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=self._exposition(),
            headers={"Content-Type": EXPOSITION_CONTENT_TYPE, "Cache-Control": _NEVER},
        )

    async def _live(self, _request: web.Request) -> web.Response:
        return _json(200, {"live": True})

    async def _ready(self, _request: web.Request) -> web.Response:
        report = self._health.report
        answer = {"ready": report.ready, "state": report.state.value, "reason": report.reason}
        return _json(200 if report.ready else 503, answer)

    async def _checkpoint(self, _request: web.Request) -> web.Response:
        assert self._log is not None
        note = self._log.checkpoint().note
        return web.Response(
            body=note,
            content_type="text/plain",
            charset="utf-8",
            headers={"Cache-Control": _BRIEFLY},
        )

    async def _tile(self, request: web.Request) -> web.Response:
        assert self._log is not None
        content = read_published(self._log, parse_tile_path(request.match_info["path"]))
        if content is None:
            return _plain(404, "not here")
        return web.Response(
            body=content,
            content_type="application/octet-stream",
            headers={"Cache-Control": _FOR_EVER},
        )

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The handler's answer, or a plain one in place of whatever it raised."""
        self.on_request(request.protocol)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = _plain(error.status, error.reason, allow=error.headers.get("Allow"))
        except MalformedError:
            response = _plain(404, "not here")
        except CallError as error:
            response = _refusal(error)
        except FatalError as error:
            self._on_fatal(error)
            response = _plain(503, "stopping")
        response.headers["Server"] = "caretree"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def _nobody(_connection: asyncio.BaseProtocol) -> None:
    """Nobody wants to know."""


def _refusal(error: CallError) -> web.Response:
    # Clients of tiles take 404 as "not there yet" and anything else as a failure.
    if error.reason is Reason.NOT_CERTIFIED:
        return _plain(404, "nothing is certified yet")
    response = _plain(503, error.reason.name)
    response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _plain(status: int, text: str, *, allow: str | None = None) -> web.Response:
    headers = {"Cache-Control": _NEVER} | ({} if allow is None else {"Allow": allow})
    return web.Response(status=status, text=f"{text}\n", headers=headers)


def _json(status: int, answer: Mapping[str, object]) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps(answer) + b"\n",
        content_type="application/json",
        headers={"Cache-Control": _NEVER},
    )
