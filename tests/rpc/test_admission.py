"""Who gets through the door of the client port."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from caretree.config.values import PrincipalKind
from caretree.proto.api.v1 import operations_pb2, operations_pb2_grpc, records_pb2_grpc
from caretree.rpc.guard import CALLS_PER_PRINCIPAL_MAX
from caretree.rpc.permissions import PERMISSIONS
from caretree.rpc.server import SERVICES
from google.protobuf.descriptor_pool import Default
from grpc_health.v1 import health_pb2  # type: ignore[import-untyped]

from tests.certificates import KeyPair, make_authority
from tests.ledger.builders import CONSORTIUM, HOSPITAL, TOWN
from tests.rpc.raw_http2 import connection
from tests.rpc.requests import TIMEOUT_S, Refusal, append_request, refusal_of
from tests.rpc.serving import (
    DOCTOR,
    OPERATOR,
    SERVER_NAME,
    STRANGER,
    SYSTEM,
    Serving,
    principal_pair,
    serving,
    trusted,
)
from tests.waiting import until

pytestmark = pytest.mark.asyncio


async def _refusal(server: Serving, pair: KeyPair) -> Refusal:
    async with server.channel(pair) as channel:
        stub = operations_pb2_grpc.OperationServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetStatus(operations_pb2.GetStatusRequest(), timeout=TIMEOUT_S)
    return refusal_of(caught.value)


async def test_a_listed_principal_is_admitted() -> None:
    async with serving() as server, server.as_principal(DOCTOR) as channel:
        stub = operations_pb2_grpc.OperationServiceStub(channel)
        status = await stub.GetStatus(operations_pb2.GetStatusRequest(), timeout=TIMEOUT_S)

    assert status.member == TOWN


async def test_an_unlisted_principal_is_refused() -> None:
    async with serving() as server:
        refusal = await _refusal(server, principal_pair(STRANGER))

    assert refusal.reason == "UNKNOWN_PRINCIPAL"
    assert refusal.domain == "caretree"


async def test_a_principal_of_another_member_is_refused() -> None:
    pair = trusted().authorities[HOSPITAL].issue_principal(DOCTOR)
    async with serving() as server:
        refusal = await _refusal(server, pair)

    assert refusal.reason == "WRONG_MEMBER"


async def test_a_certificate_that_another_members_authority_issued_is_refused() -> None:
    pair = trusted().authorities[HOSPITAL].issue_principal(DOCTOR, member=TOWN)
    async with serving() as server:
        refusal = await _refusal(server, pair)

    assert refusal.reason == "NO_CERTIFICATE"
    assert refusal.code == grpc.StatusCode.UNAUTHENTICATED.value[0]


@pytest.mark.parametrize(
    "uris",
    [
        [],
        [f"spiffe://{CONSORTIUM}/{TOWN}/principal/{DOCTOR}"] * 2,
        [f"spiffe://other.example/{TOWN}/principal/{DOCTOR}"],
        [f"spiffe://{CONSORTIUM}/{TOWN}/daemon/{DOCTOR}"],
        [f"https://{CONSORTIUM}/{TOWN}/principal/{DOCTOR}"],
    ],
    ids=["none", "two", "another consortium", "another kind", "another scheme"],
)
async def test_a_certificate_without_exactly_one_known_name_is_refused(uris: list[str]) -> None:
    pair = trusted().authorities[TOWN].issue(uris=uris, names=["localhost"])
    async with serving() as server:
        refusal = await _refusal(server, pair)

    assert refusal.reason == "NO_CERTIFICATE"


async def test_a_peers_certificate_is_refused_on_the_client_port() -> None:
    async with serving() as server:
        refusal = await _refusal(server, trusted().server)

    assert refusal.reason == "WRONG_PORT"


async def test_a_connection_that_outlives_its_certificate_is_refused_from_then_on() -> None:
    moved = timedelta()
    async with (
        serving(now=lambda: datetime.now(UTC) + moved) as server,
        server.as_principal(DOCTOR) as channel,
    ):
        stub = operations_pb2_grpc.OperationServiceStub(channel)
        await stub.GetStatus(operations_pb2.GetStatusRequest(), timeout=TIMEOUT_S)
        moved = timedelta(days=40)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetStatus(operations_pb2.GetStatusRequest(), timeout=TIMEOUT_S)

    assert refusal_of(caught.value).reason == "CERTIFICATE_EXPIRED"


@pytest.mark.parametrize("kind", ["none", "of a stranger's authority"])
async def test_tls_itself_refuses_a_client_without_a_certificate_of_the_consortium(
    kind: str,
) -> None:
    stranger = make_authority(CONSORTIUM, TOWN)
    pair = None if kind == "none" else stranger.issue_principal(DOCTOR)
    async with serving() as server, server.channel(pair) as channel:
        stub = operations_pb2_grpc.OperationServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetStatus(operations_pb2.GetStatusRequest(), timeout=TIMEOUT_S)

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert server.recorder.started == []


async def test_a_connection_of_tls_1_2_is_refused() -> None:
    async with serving() as server:
        newer = await asyncio.to_thread(_raw_status, server.address, ssl.TLSVersion.TLSv1_3)
        older = await asyncio.to_thread(_raw_status, server.address, ssl.TLSVersion.TLSv1_2)

    assert b"NO_CERTIFICATE" not in newer
    assert b"0.1.0" in newer
    assert b"0.1.0" not in older
    assert b"certificate that this consortium knows" in older


async def test_every_method_that_is_served_has_a_row_in_the_table_and_no_row_is_left_over() -> None:
    others = ["grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"]
    methods = {
        f"/{service}/{method.name}"
        for service in (*SERVICES, *others)
        for method in Default().FindServiceByName(service).methods
    }

    assert set(PERMISSIONS) == methods


async def test_an_operator_acts_for_nobody_and_only_an_operator_moves_leadership() -> None:
    operator = {path for path, row in PERMISSIONS.items() if PrincipalKind.OPERATOR in row.kinds}
    acting = {path for path, row in PERMISSIONS.items() if row.roles}
    only_operators = {
        path
        for path, row in PERMISSIONS.items()
        if row.kinds == frozenset({PrincipalKind.OPERATOR})
    }

    assert operator & acting == set()
    assert only_operators == {"/caretree.api.v1.OperationService/TransferLeadership"}


async def test_a_person_may_not_move_leadership_and_an_operator_may() -> None:
    request = operations_pb2.TransferLeadershipRequest(to="hospital")
    async with (
        serving() as server,
        server.as_principal(DOCTOR) as doctor,
        server.as_principal(OPERATOR) as operator,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await operations_pb2_grpc.OperationServiceStub(doctor).TransferLeadership(
                request, timeout=TIMEOUT_S
            )
        moved = await operations_pb2_grpc.OperationServiceStub(operator).TransferLeadership(
            request, timeout=TIMEOUT_S
        )

    assert refusal_of(caught.value).reason == "ROLE_NOT_PERMITTED"
    assert moved.leader == f"{trusted().consortium[HOSPITAL].peer.peer:016x}"


async def test_an_operator_may_not_append() -> None:
    async with serving() as server, server.as_principal(OPERATOR) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await records_pb2_grpc.RecordServiceStub(channel).Append(
                append_request(), timeout=TIMEOUT_S
            )

    assert refusal_of(caught.value).reason == "ROLE_NOT_PERMITTED"
    assert server.peer.calls == []


async def test_health_is_for_principals_too() -> None:
    async with serving() as server, server.as_principal(STRANGER) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)

    assert refusal_of(caught.value).reason == "UNKNOWN_PRINCIPAL"


async def test_one_principal_has_so_many_calls_under_way_and_not_one_more() -> None:
    async with serving() as server:
        server.peer.gate = asyncio.Event()
        async with (
            server.as_principal(SYSTEM) as one,
            server.as_principal(SYSTEM) as two,
            server.as_principal(SYSTEM) as three,
            server.as_principal(DOCTOR) as other,
        ):
            # One connection has at most 64 streams open, so the bound takes two of them to reach.
            calls = [
                records_pb2_grpc.RecordServiceStub(channel).Append(
                    append_request(number), timeout=60
                )
                for number in range(CALLS_PER_PRINCIPAL_MAX)
                for channel in ((one, two)[number % 2],)
            ]
            await until(lambda: server.peer.waiting == CALLS_PER_PRINCIPAL_MAX)
            stub = records_pb2_grpc.RecordServiceStub(three)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Append(append_request(1000), timeout=TIMEOUT_S)
            status = operations_pb2_grpc.OperationServiceStub(other).GetStatus
            await status(operations_pb2.GetStatusRequest(), timeout=TIMEOUT_S)
            server.peer.gate.set()
            await asyncio.gather(*calls)

    refusal = refusal_of(caught.value)
    assert refusal.reason == "OVERLOADED"
    assert refusal.retry_ms == 100


def _raw_status(address: str, version: ssl.TLSVersion) -> bytes:
    """What GetStatus is answered over this version of TLS."""
    with connection(
        address,
        authority=trusted().authorities[TOWN].pem,
        pair=principal_pair(DOCTOR),
        version=version,
        name=SERVER_NAME,
    ) as raw:
        return raw.call("/caretree.api.v1.OperationService/GetStatus")
