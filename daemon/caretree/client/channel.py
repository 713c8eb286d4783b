"""The connection to a peer, and calls over it: each with a deadline, repeated where it may be."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import grpc

from caretree.client.errors import CallFailedError, failed_call, outcome_unknown
from caretree.client.retry import may_repeat, pause_s
from caretree.client.settings import ClientSettings
from caretree.model.ids import RequestId
from caretree.model.limits import MIB
from caretree.model.reasons import Reason

# An answer to a full batch: 256 receipts with the signatures of 64 signers each.
ANSWER_BYTES_MAX: Final = 16 * MIB

DEADLINE_S: Final = 30.0

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
AnswerT = TypeVar("AnswerT")

_chance = random.SystemRandom().random


def open_channel(settings: ClientSettings) -> grpc.aio.Channel:
    """A channel of mutual TLS to the peer, which connects when it is first used."""
    credentials = grpc.ssl_channel_credentials(
        root_certificates=settings.ca_certificate,
        private_key=settings.key,
        certificate_chain=settings.certificate,
    )
    options = (
        ("grpc.ssl_target_name_override", settings.server_name),
        ("grpc.max_receive_message_length", ANSWER_BYTES_MAX),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.enable_retries", 0),  # repeated here, with the peer's delay and the same request id
        ("grpc.use_local_subchannel_pool", 1),
    )
    return grpc.aio.secure_channel(settings.address, credentials, options)


def deadline_after(seconds: float) -> float:
    """The loop's time so many seconds from now."""
    return asyncio.get_running_loop().time() + seconds


def remaining_s(deadline: float) -> float:
    """How long until the deadline; what is past counts as none."""
    return max(deadline - asyncio.get_running_loop().time(), 0.0)


async def repeated(attempt: Callable[[], Awaitable[AnswerT]], *, deadline: float) -> AnswerT:
    """The answer of the first attempt that succeeds; repeated while that may help, and time lasts.

    Raises:
        CallFailedError: of the last attempt; OUTCOME_UNKNOWN when an earlier one left it unknown
            and none after it settled the matter.
    """
    unknown: CallFailedError | None = None
    number = 0
    while True:
        try:
            return await attempt()
        except CallFailedError as error:
            if error.reason is Reason.OUTCOME_UNKNOWN:
                unknown = error
            unsettled = may_repeat(error) or error.reason is Reason.DEADLINE
            pause = pause_s(error, attempt=number, chance=_chance())
            if not may_repeat(error) or pause >= remaining_s(deadline):
                if unsettled and unknown is not None:
                    raise unknown from error
                raise
        await asyncio.sleep(pause)
        number += 1


async def call(
    method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
    request: RequestT,
    *,
    deadline: float,
    request_id: RequestId | None = None,
) -> ResponseT:
    """The answer to one attempt. With a request id the call changes something.

    Raises:
        CallFailedError: it failed; OUTCOME_UNKNOWN when it may have changed something all the same.
    """
    try:
        # An expired deadline is sent as one, and refused by gRPC itself.
        return await method(request, timeout=remaining_s(deadline))
    except grpc.aio.AioRpcError as error:
        failure = failed_call(error)
        lost = failure.reason is None and failure.code in {"DEADLINE_EXCEEDED", "CANCELLED"}
        if request_id is not None and lost:
            raise outcome_unknown(request_id) from error
        raise failure from error
