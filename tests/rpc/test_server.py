"""The port itself: sizes, health, reflection by a foreign client, and who else may listen."""

import asyncio
import base64
import json
import logging
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import grpc
import pytest
from caretree.model.limits import CLIENT_BATCH_BYTES_MAX, CLIENT_BATCH_RECORDS_MAX
from caretree.proto.api.v1 import records_pb2
from caretree.proto.api.v1.records_pb2_grpc import RecordServiceStub
from caretree.rpc.server import MESSAGE_BYTES_MAX, METADATA_BYTES_MAX, SERVICES, build_server
from caretree.telemetry.health import Health, HealthState
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from tests.ledger.builders import TOWN
from tests.rpc.requests import TIMEOUT_S, append_request, refusal_of
from tests.rpc.serving import (
    DOCTOR,
    SILENT,
    SYSTEM,
    Recorder,
    Serving,
    config_of,
    nobody_denied,
    principal_pair,
    serving,
    trusted,
)
from tests.shared import require_tool
from tests.waiting import until

pytestmark = pytest.mark.asyncio

SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


async def test_a_full_batch_arrives_and_one_byte_more_is_refused_with_a_reason() -> None:
    batch = records_pb2.AppendStreamRequest(records=[append_request(n) for n in range(5)])
    for record in batch.records[:4]:
        record.content = bytes(CLIENT_BATCH_BYTES_MAX // 4 - 200)
    batch.records[4].content = bytes(200)
    missing = CLIENT_BATCH_BYTES_MAX - sum(record.ByteSize() for record in batch.records)
    batch.records[4].content += bytes(missing)
    above = records_pb2.AppendStreamRequest()
    above.CopyFrom(batch)
    above.records[4].content += b"+"
    assert sum(record.ByteSize() for record in batch.records) == CLIENT_BATCH_BYTES_MAX

    async with serving() as server, server.as_principal(SYSTEM) as channel:
        stub = RecordServiceStub(channel)
        (answer,) = [a async for a in stub.AppendStream(iter([batch]), timeout=TIMEOUT_S)]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.AppendStream(iter([above]), timeout=TIMEOUT_S).read()

    assert [result.WhichOneof("result") for result in answer.results] == ["added"] * 5
    assert refusal_of(caught.value).reason == "CONTENT_TOO_LARGE"


async def test_the_largest_number_of_records_arrives_in_one_message() -> None:
    batch = records_pb2.AppendStreamRequest(
        records=[append_request(number) for number in range(CLIENT_BATCH_RECORDS_MAX)],
        without_receipts=True,
    )
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        stub = RecordServiceStub(channel)
        (answer,) = [a async for a in stub.AppendStream(iter([batch]), timeout=60)]

    assert len(answer.results) == CLIENT_BATCH_RECORDS_MAX
    assert server.peer.batch_sizes == [CLIENT_BATCH_RECORDS_MAX]


async def test_a_message_above_all_bounds_is_not_even_read() -> None:
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        append: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/caretree.api.v1.RecordService/Append"
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await append(bytes(MESSAGE_BYTES_MAX + 1), timeout=TIMEOUT_S)

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert server.peer.calls == []


async def test_a_call_with_too_much_metadata_is_refused() -> None:
    async with serving() as server, server.as_principal(DOCTOR) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest()
        await stub.Check(request, timeout=TIMEOUT_S, metadata=(("x", "y" * 4096),))
        metadata = (("x", "y" * 4 * METADATA_BYTES_MAX),)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(request, timeout=TIMEOUT_S, metadata=metadata)

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert [code for *_, code in server.recorder.handled].count("OK") == 1


async def test_so_many_calls_of_all_principals_run_and_not_one_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("caretree.rpc.guard.CALLS_MAX", 2)
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        server.peer.gate = asyncio.Event()
        stub = RecordServiceStub(channel)
        calls = [stub.Append(append_request(number), timeout=TIMEOUT_S) for number in range(2)]
        await until(lambda: server.peer.waiting == 2)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Append(append_request(3), timeout=TIMEOUT_S)
        server.peer.gate.set()
        await asyncio.gather(*calls)
        await stub.Append(append_request(3), timeout=TIMEOUT_S)

    refusal = refusal_of(caught.value)
    assert refusal.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    assert refusal.reason == "OVERLOADED"
    assert refusal.retry_ms is not None


async def test_a_second_server_on_the_port_is_refused() -> None:
    async with serving() as server:
        with tempfile.TemporaryDirectory() as folder:
            config = config_of(Path(folder), server.address, reflection=False)
            with pytest.raises(OSError, match=r"listen\.client"):
                build_server(
                    server.peer,
                    config,
                    metrics=Recorder(),
                    health=Health(),
                    deny_list=nobody_denied(),
                    version="0.1.0",
                    log=SILENT,
                )


async def test_health_says_whether_the_peer_can_commit_for_every_service() -> None:
    async with serving() as server, server.as_principal(DOCTOR) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        can = await _health(stub)
        server.health.change(HealthState.CANNOT_COMMIT, reason="no leader")
        cannot = await _health(stub)
        everything = await stub.List(health_pb2.HealthListRequest(), timeout=TIMEOUT_S)
        request = health_pb2.HealthCheckRequest(service="unknown")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(request, timeout=TIMEOUT_S)
        await until(lambda: len(server.recorder.handled) == len(server.recorder.started))

    assert can == dict.fromkeys(("", *SERVICES), SERVING)
    assert cannot == dict.fromkeys(("", *SERVICES), NOT_SERVING)
    assert {name: s.status for name, s in everything.statuses.items()} == cannot
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert ("unary", "grpc.health.v1.Health", "Check", "NotFound") in server.recorder.handled


async def test_who_watches_health_hears_of_each_change_until_the_peer_stops() -> None:
    async with serving() as server, server.as_principal(DOCTOR) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        heard = [(await watch.read()).status]
        server.health.change(HealthState.CANNOT_COMMIT, reason="no leader")
        heard.append((await watch.read()).status)
        server.health.change(HealthState.CAN_COMMIT, reason="a leader is known")
        heard.append((await watch.read()).status)
        server.health.change(HealthState.STOPPING, reason="stopping")
        async with asyncio.timeout(TIMEOUT_S):
            heard.append((await watch.read()).status)
            end = await watch.read()

    assert heard == [SERVING, NOT_SERVING, SERVING, NOT_SERVING]
    assert end is grpc.aio.EOF


async def test_who_watches_an_unknown_service_is_told_so() -> None:
    async with serving() as server, server.as_principal(DOCTOR) as channel:
        request = health_pb2.HealthCheckRequest(service="unknown")
        watch = health_pb2_grpc.HealthStub(channel).Watch(request)
        answer = await watch.read()
        watch.cancel()

    assert answer.status == SERVICE_UNKNOWN


async def test_a_foreign_client_lists_and_calls_our_services_through_reflection() -> None:
    async with serving(reflection=True) as server:
        services = await _buf_curl(server, "--list-services", path="")
        methods = await _buf_curl(server, "--list-methods", path="")
        answer = await _buf_curl(
            server,
            "--timeout=5s",
            "--data",
            "{}",
            path="/caretree.api.v1.OperationService/GetStatus",
        )

    assert set(SERVICES) <= set(services.split())
    assert "caretree.api.v1.RecordService/AppendStream" in methods.split()
    assert json.loads(answer)["member"] == TOWN


async def test_a_foreign_client_is_told_the_reason_of_a_refusal() -> None:
    async with serving(reflection=True) as server:
        answer = await _buf_curl(
            server, "--data", "{}", path="/caretree.api.v1.OperationService/GetStatus", fails=True
        )

    error = json.loads(answer)
    (detail,) = error["details"]
    assert error["code"] == "invalid_argument"
    assert detail["type"] == "google.rpc.ErrorInfo"
    assert b"NO_DEADLINE" in base64.b64decode(detail["value"] + "==")


async def test_reflection_is_off_unless_it_is_configured() -> None:
    async with serving() as server:
        answer = await _buf_curl(server, "--list-services", path="", fails=True)

    assert "unimplemented" in answer.lower()


async def test_no_method_of_grpc_logs_a_message(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> AsyncIterator[records_pb2.AppendStreamRequest]:
        yield records_pb2.AppendStreamRequest(records=[append_request()])

    async with serving() as server, server.as_principal(SYSTEM) as channel:
        server.peer.crash = ValueError("CANARY")
        with caplog.at_level(logging.DEBUG), pytest.raises(grpc.aio.AioRpcError) as caught:
            await RecordServiceStub(channel).AppendStream(broken(), timeout=TIMEOUT_S).read()

    assert refusal_of(caught.value).reason == "INTERNAL"
    assert "CANARY" not in str(caught.value)
    assert "CANARY" not in caplog.text


async def _health(stub: object) -> dict[str, int]:
    check = stub.Check  # type: ignore[attr-defined]
    return {
        name: (await check(health_pb2.HealthCheckRequest(service=name), timeout=TIMEOUT_S)).status
        for name in ("", *SERVICES)
    }


async def _buf_curl(server: Serving, *arguments: str, path: str, fails: bool = False) -> str:
    """What `buf curl`, a client in Go, prints; of a failing call what it complains of."""
    with tempfile.TemporaryDirectory() as folder:
        pair = principal_pair(DOCTOR)
        files = {
            "cert": pair.certificate,
            "key": pair.key,
            "cacert": trusted().authorities[TOWN].pem,
        }
        options = [_option(folder, name, content) for name, content in files.items()]
        process = await asyncio.create_subprocess_exec(
            require_tool("buf"),
            "curl",
            "--protocol=grpc",
            "--servername=localhost",
            *options,
            *arguments,
            f"https://{server.address}{path}",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, complained = await process.communicate()
    assert (process.returncode != 0) == fails, complained.decode()
    return (complained if fails else printed).decode()


def _option(folder: str, name: str, content: bytes) -> str:
    file = Path(folder, name)
    file.write_bytes(content)
    return f"--{name}={file}"
