"""The one interceptor: every call, of whatever kind, is admitted, counted, and fails in one way.

There is no second one, so none can stand outside the guard. A refused call is answered by a handler
of the kind that the client expects, and no exception's text ever reaches it. At each message that
comes on a stream, and at each that a handler yields, it is asked again whether its caller's
certificate still counts. AppendStream writes its answers itself: what came before is answered.

Nobody is waited for unless admitted: who opens calls and says nothing holds as many of them as a
principal may, for as long as a call may take, and no more.
"""

import asyncio
import inspect
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from typing_extensions import override

from caretree.model.reasons import CallError, Code, FieldViolation, Reason
from caretree.rpc.errors import grpc_status
from caretree.rpc.guard import CALL_S_MAX, Caller, Guard
from caretree.rpc.ports import CallRecorder
from caretree.rpc.writing import write_in_time
from caretree.telemetry.logs import Logger

Context = grpc.aio.ServicerContext[Any, Any]
Behaviour = Callable[[Any, Context], Any]
# gRPC's own class is generic in its stubs alone.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
MaybeHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"

# By (request streams, response streams): the kind as metrics name it, and what makes its handler.
_KINDS: Final[Mapping[tuple[bool, bool], str]] = {
    (False, False): "unary",
    (False, True): "server_stream",
    (True, False): "client_stream",
    (True, True): "bidi_stream",
}
_FACTORIES: Final[Mapping[tuple[bool, bool], Callable[..., Handler]]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Method:
    path: str
    labels: tuple[str, str, str]  # kind, service, method


class _Undecodable:
    """Stands for a request that is no message of its type."""


class EdgeInterceptor(grpc.aio.ServerInterceptor):
    """Guards, counts and translates."""

    def __init__(self, guard: Guard, recorder: CallRecorder, log: Logger) -> None:
        self._guard = guard
        self._recorder = recorder
        self._log = log

    @override
    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MaybeHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MaybeHandler:
        handler = await continuation(handler_call_details)
        if handler is None:
            return grpc.stream_stream_rpc_method_handler(_refuse_unknown)
        return self._enclose(handler, handler_call_details.method)

    def _enclose(self, handler: Handler, path: str) -> Handler:
        arity = (handler.request_streaming, handler.response_streaming)
        _, service, name = path.split("/", 2)
        method = _Method(path=path, labels=(_KINDS[arity], service, name))
        behaviour = _behaviour(handler)
        enclose = self._streaming if handler.response_streaming else self._single
        # A request is taken as a stream also where it is one message: gRPC itself would wait for
        # that, as long as its sender likes, before anybody could ask who this is.
        return _FACTORIES[True, handler.response_streaming](
            enclose(method, behaviour, streams=handler.request_streaming),
            request_deserializer=_decoder(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    def _single(self, method: _Method, behaviour: Behaviour, *, streams: bool) -> Behaviour:
        async def answer(requests: AsyncIterator[object], context: Context) -> object:
            async with self._passage(method, context) as caller:
                request = (
                    self._each(requests, caller) if streams else await self._only(context, caller)
                )
                return await behaviour(request, context)

        return answer

    def _streaming(self, method: _Method, behaviour: Behaviour, *, streams: bool) -> Behaviour:
        async def answer(requests: AsyncIterator[object], context: Context) -> None:
            async with self._passage(method, context) as caller:
                request = (
                    self._each(requests, caller) if streams else await self._only(context, caller)
                )
                answers = behaviour(request, context)
                if not inspect.isasyncgen(answers):
                    await answers  # it writes to the context itself
                    return
                async with aclosing(answers):
                    async for message in answers:
                        self._guard.check(caller)
                        await write_in_time(context, message)

        return answer

    @asynccontextmanager
    async def _passage(self, method: _Method, context: Context) -> AsyncIterator[Caller]:
        """What every call goes through; whatever it raises becomes a status with a reason."""
        started = time.monotonic()
        self._recorder.grpc_started(*method.labels)
        code = "Canceled"  # what it stays when the client goes away or its deadline passes
        try:
            failure: CallError | None = None
            try:
                with self._admitted(method, context) as caller:
                    yield caller
            except CallError as error:
                failure = error
            except grpc.aio.AbortError:
                code = _code_name(context.code())
                raise
            except Exception:  # noqa: BLE001 (here alone: nothing of it may reach the client)
                self._log.exception("call failed", method=method.path)
                failure = CallError(Reason.INTERNAL)
            if failure is not None:
                code = _code_name(grpc.StatusCode[failure.reason.explanation.code.name])
                await context.abort_with_status(grpc_status(failure))
            code = _code_name(grpc.StatusCode.OK)
        except asyncio.CancelledError:
            if context.time_remaining() == 0:
                code = _code_name(grpc.StatusCode.DEADLINE_EXCEEDED)
            raise
        finally:
            self._recorder.grpc_handled(*method.labels, code, time.monotonic() - started)

    def _admitted(self, method: _Method, context: Context) -> AbstractContextManager[Caller]:
        return self._guard.admit(
            method.path,
            context.auth_context(),
            loop_time=asyncio.get_running_loop().time(),
            remaining_s=context.time_remaining(),
        )

    async def _each(self, requests: AsyncIterator[object], caller: Caller) -> AsyncIterator[object]:
        async for request in requests:
            self._guard.check(caller)
            yield _checked(request)

    async def _only(self, context: Context, caller: Caller) -> object:
        """The message of a call that has one."""
        if (context.time_remaining() or math.inf) <= CALL_S_MAX:
            request = await context.read()  # gRPC itself ends that when the client gives up
        else:
            request = await _read_by(caller.deadline, context)
        self._guard.check(caller)  # the message may have come long after its call
        return _checked(request)


async def _read_by(deadline: float, context: Context) -> object:
    try:
        async with asyncio.timeout_at(deadline):
            return await context.read()
    except TimeoutError:
        raise CallError(Reason.DEADLINE) from None


async def _refuse_unknown(_requests: object, context: Context) -> None:
    await context.abort_with_status(grpc_status(CallError(Reason.UNKNOWN_METHOD)))


def _behaviour(handler: Handler) -> Behaviour:
    request = "stream" if handler.request_streaming else "unary"
    response = "stream" if handler.response_streaming else "unary"
    behaviour: Behaviour = getattr(handler, f"{request}_{response}")
    return behaviour


def _decoder(decode: Callable[[bytes], object] | None) -> Callable[[bytes], object] | None:
    """A decoder that leaves it to the call, once admitted, to refuse what is no message.

    gRPC would answer for itself otherwise, with the exception's text.
    """
    if decode is None:
        return None

    def attempt(encoded: bytes) -> object:
        try:
            return decode(encoded)
        except DecodeError:
            return _Undecodable()

    return attempt


def _checked(request: object) -> object:
    if request is grpc.aio.EOF or isinstance(request, _Undecodable):
        violation = FieldViolation(field="request", description="expected a message of its type")
        raise CallError(Reason.INVALID_FIELD, violations=(violation,))
    return request


def _code_name(code: grpc.StatusCode | int) -> str:
    """The code as dashboards made for gRPC servers in Go expect it: OK, InvalidArgument."""
    name = Code(code).name if isinstance(code, int) else code.name
    return name if name == "OK" else name.title().replace("_", "")
