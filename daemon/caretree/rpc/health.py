"""grpc.health.v1: healthy means "can commit", for "" and for every service alike."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2  # type: ignore[import-untyped]

from caretree.telemetry.health import Health, HealthReport, HealthState

_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

Context = grpc.aio.ServicerContext[Any, Any]


class HealthService:
    """Serves Check, List and Watch. NOT_SERVING at start, in drain and without a quorum."""

    def __init__(self, health: Health, services: Sequence[str]) -> None:
        self._health = health
        self._services = ("", *services)
        self._changed = asyncio.Event()
        health.subscribe(self._on_change)

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """The state of a service."""
        status = self._status(request.service)
        if status == _UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return health_pb2.HealthCheckResponse(status=status)

    async def List(
        self,
        request: health_pb2.HealthListRequest,  # noqa: ARG002 (it is empty)
        context: Context,  # noqa: ARG002 (gRPC hands it in)
    ) -> health_pb2.HealthListResponse:
        """The state of every service."""
        return health_pb2.HealthListResponse(
            statuses={
                service: health_pb2.HealthCheckResponse(status=self._status(service))
                for service in self._services
            }
        )

    async def Watch(
        self,
        request: health_pb2.HealthCheckRequest,
        context: Context,  # noqa: ARG002 (gRPC hands it in)
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The state of a service now, and at each change; ends when the peer stops."""
        told: int | None = None
        while True:
            # Taken together, before the answer goes out: what changes meanwhile is told next.
            changed, stopping = self._changed, self._health.report.state is HealthState.STOPPING
            status = self._status(request.service)
            if status != told:
                yield health_pb2.HealthCheckResponse(status=status)
                told = status
            if stopping:
                return
            await changed.wait()

    def _status(self, service: str) -> int:
        if service not in self._services:
            return int(_UNKNOWN)
        return int(_SERVING if self._health.report.ready else _NOT_SERVING)

    def _on_change(self, report: HealthReport) -> None:  # noqa: ARG002 (it is asked for)
        # Whoever waits holds the old event; who comes later waits for the next change.
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
