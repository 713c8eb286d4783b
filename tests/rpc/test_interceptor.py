"""Every kind of call is refused, and fails, with a status of its own and nobody else's words."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeAlias

import grpc
import pytest
from caretree.model.reasons import CallError, FieldViolation, Reason
from caretree.node.admission import AuthContext
from caretree.rpc.guard import Caller, Guard, current_caller
from caretree.rpc.interceptor import EdgeInterceptor
from caretree.rpc.permissions import PERMISSIONS
from typing_extensions import override

from tests.rpc.requests import TIMEOUT_S, refusal_of
from tests.rpc.serving import PRINCIPALS, SHOWN, SILENT, Recorder, free_address, guard_of_town
from tests.waiting import until

pytestmark = pytest.mark.asyncio

KINDS: Final = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
TYPES: Final = {
    "unary_unary": "unary",
    "unary_stream": "server_stream",
    "stream_unary": "client_stream",
    "stream_stream": "bidi_stream",
}
AnyUnary: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
SECRET: Final = "what no client may read"


class _FixedGuard(Guard):
    """Admits everybody, or nobody for one reason."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self._refusal = refusal

    @override
    @contextmanager
    def admit(
        self, method: str, auth: AuthContext, *, loop_time: float, remaining_s: float | None
    ) -> Iterator[Caller]:
        if self._refusal is not None:
            raise self._refusal
        permission = PERMISSIONS["/grpc.health.v1.Health/Check"]
        yield Caller(
            principal=PRINCIPALS[0], permission=permission, deadline=loop_time + 60, shown=SHOWN
        )

    @override
    def check(self, caller: Caller) -> None:
        assert caller.shown is SHOWN


class _Handlers(grpc.GenericRpcHandler):
    """One method of each kind; each fails as it is told."""

    def __init__(self, failure: BaseException | None) -> None:
        self.failure = failure
        self.reached: list[str] = []

    @override
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        kind = handler_call_details.method.rsplit("/", 1)[1]
        if kind not in KINDS:
            return None
        factory = getattr(grpc, f"{kind}_rpc_method_handler")
        return factory(self._streaming if kind.endswith("stream") else self._single)

    async def _single(self, request: object, context: object) -> bytes:
        self._reach(request, context)
        return b"answer"

    async def _streaming(self, request: object, context: object) -> AsyncIterator[bytes]:
        yield b"answer"
        self._reach(request, context)

    def _reach(self, request: object, context: object) -> None:
        assert request is not None
        assert context is not None
        self.reached.append("handler")
        if self.failure is not None:
            raise self.failure


@asynccontextmanager
async def _server(
    guard: Guard, failure: BaseException | None
) -> AsyncIterator[tuple[grpc.aio.Channel, _Handlers, Recorder]]:
    recorder, handlers, address = Recorder(), _Handlers(failure), free_address()
    server = grpc.aio.server(interceptors=[EdgeInterceptor(guard, recorder, SILENT)])
    server.add_generic_rpc_handlers((handlers,))
    server.add_insecure_port(address)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            yield channel, handlers, recorder
        # A client may have its answer before the server is done with the call.
        await until(lambda: len(recorder.handled) == len(recorder.started))
    finally:
        await server.stop(grace=None)


async def _call(channel: grpc.aio.Channel, kind: str, *, path: str | None = None) -> list[object]:
    """All answers of a call of this kind."""
    call = getattr(channel, kind)(path or f"/service/{kind}")
    request = iter([b"request"]) if kind.startswith("stream") else b"request"
    if kind.endswith("unary"):
        return [await call(request, timeout=TIMEOUT_S)]
    return [message async for message in call(request, timeout=TIMEOUT_S)]


def _real_guard() -> Guard:
    def now() -> Any:  # noqa: ANN401
        raise AssertionError

    return guard_of_town(now=now)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_admitted_call_of_every_kind_is_answered(kind: str) -> None:
    async with _server(_FixedGuard(), None) as (channel, handlers, recorder):
        answers = await _call(channel, kind)

    assert answers == [b"answer"]
    assert handlers.reached == ["handler"]
    assert recorder.started == [(TYPES[kind], "service", kind)]
    assert recorder.handled == [(TYPES[kind], "service", kind, "OK")]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refused_call_of_every_kind_never_reaches_its_handler(kind: str) -> None:
    async with _server(_FixedGuard(CallError(Reason.UNKNOWN_PRINCIPAL)), None) as (
        channel,
        handlers,
        recorder,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _call(channel, kind)

    refusal = refusal_of(caught.value)
    assert refusal.reason == "UNKNOWN_PRINCIPAL"
    assert refusal.detail_counts == (1, 0, 0)
    assert handlers.reached == []
    assert recorder.handled == [(TYPES[kind], "service", kind, "PermissionDenied")]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_fault_in_a_call_of_every_kind_tells_the_client_nothing(kind: str) -> None:
    async with _server(_FixedGuard(), ValueError(SECRET)) as (channel, _, recorder):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _call(channel, kind)

    refusal = refusal_of(caught.value)
    assert refusal.reason == "INTERNAL"
    assert refusal.message == Reason.INTERNAL.explanation.cause
    assert SECRET not in str(caught.value)
    assert recorder.handled == [(TYPES[kind], "service", kind, "Internal")]


async def test_a_fault_in_the_guard_itself_admits_nobody_and_tells_nothing() -> None:
    async with _server(_FixedGuard(ValueError(SECRET)), None) as (channel, handlers, _):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _call(channel, "unary_unary")

    assert refusal_of(caught.value).reason == "INTERNAL"
    assert SECRET not in str(caught.value)
    assert handlers.reached == []


async def test_a_failure_carries_its_violations_and_its_delay() -> None:
    violations = (
        FieldViolation(field="records[3].patient.value", description="expected 18 places"),
        FieldViolation(field="page_size", description="expected at most 100"),
    )
    failure = CallError(
        Reason.INVALID_FIELD, "two fields", violations=violations, retry_after_ms=1234
    )
    async with _server(_FixedGuard(), failure) as (channel, _, _):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _call(channel, "unary_unary")

    refusal = refusal_of(caught.value)
    metadata = caught.value.trailing_metadata()
    assert metadata is not None
    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert refusal.message == "two fields"
    assert refusal.fields == ("records[3].patient.value", "page_size")
    assert refusal.retry_ms == 1234
    assert refusal.detail_counts == (1, 1, 1)
    assert metadata["grpc-retry-pushback-ms"] == "1234"


@pytest.mark.parametrize("reason", list(Reason), ids=lambda reason: reason.name)
async def test_every_reason_travels_with_its_code_its_cause_and_its_next_step(
    reason: Reason,
) -> None:
    async with _server(_FixedGuard(), CallError(reason)) as (channel, _, _):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _call(channel, "unary_unary")

    refusal = refusal_of(caught.value)
    assert refusal.code == reason.explanation.code.value
    assert refusal.message == reason.explanation.cause
    assert refusal.reason == reason.name
    assert refusal.next_step == reason.explanation.next_step
    retried = {"UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED"}
    assert (refusal.retry_ms is not None) == (reason.explanation.code.name in retried)


async def test_a_call_without_a_certificate_is_refused() -> None:
    async with _server(_real_guard(), None) as (channel, handlers, _):
        with pytest.raises(grpc.aio.AioRpcError):
            await _call(channel, "unary_unary")

    assert handlers.reached == []


async def test_an_unknown_method_is_unimplemented_and_not_counted() -> None:
    async with _server(_FixedGuard(), None) as (channel, _, recorder):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _call(channel, "unary_unary", path="/service/unknown")

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert recorder.started == []


async def test_a_call_that_the_client_gives_up_is_counted_as_such() -> None:
    reached = asyncio.Event()
    ended = asyncio.Event()

    class Slow(_Handlers):
        @override
        async def _single(self, request: object, context: object) -> bytes:
            reached.set()
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()
            return b""

    recorder, address = Recorder(), free_address()
    server = grpc.aio.server(interceptors=[EdgeInterceptor(_FixedGuard(), recorder, SILENT)])
    server.add_generic_rpc_handlers((Slow(None),))
    server.add_insecure_port(address)
    await server.start()
    async with grpc.aio.insecure_channel(address) as channel:
        method: AnyUnary = channel.unary_unary("/service/unary_unary")
        call = method(b"", timeout=TIMEOUT_S)
        await reached.wait()
        call.cancel()
        async with asyncio.timeout(TIMEOUT_S):
            await ended.wait()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await method(b"", timeout=0.2)
        await until(lambda: len(recorder.handled) == 2)
    await server.stop(grace=None)

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    codes = [code for *_, code in recorder.handled]
    assert codes[0] == "Canceled"
    assert codes[1] in {"DeadlineExceeded", "Canceled"}


async def test_nobody_calls_outside_a_call() -> None:
    with pytest.raises(LookupError):
        current_caller()
