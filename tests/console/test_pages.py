import json

import pytest
from caretree.telemetry.health import HealthState

from tests.console.served import open_console


@pytest.mark.asyncio
async def test_metrics_are_prometheus_text() -> None:
    async with open_console() as console:
        console.metrics.batch_signed()

        answer = await console.get("/metrics")

    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert b"\ncaretree_node_batches_total 1.0\n" in answer.body


@pytest.mark.asyncio
async def test_a_peer_lives_before_it_is_ready() -> None:
    async with open_console() as console:
        live, ready = await console.get("/health/live"), await console.get("/health/ready")

    assert live.status == 200
    assert ready.status == 503
    assert json.loads(ready.body) == {"ready": False, "state": "starting", "reason": "starting"}


@pytest.mark.asyncio
@pytest.mark.parametrize("state", HealthState)
async def test_ready_means_can_commit(state: HealthState) -> None:
    async with open_console() as console:
        console.health.change(state, reason="as told")

        answer = await console.get("/health/ready")

    assert answer.status == (200 if state is HealthState.CAN_COMMIT else 503)
    assert json.loads(answer.body) == {
        "ready": state is HealthState.CAN_COMMIT,
        "state": state.value,
        "reason": "as told",
    }
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/", "/checkpoint", "/tile/0/000", "/metrics/", "/health"])
async def test_without_tiles_nothing_else_is_there(path: str) -> None:
    async with open_console() as console:
        answer = await console.get(path)

    assert answer.status == 404
    assert b"caretree" not in answer.body
    assert answer.headers["Server"] == "caretree"


@pytest.mark.asyncio
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_nothing_can_be_changed_over_http(method: str) -> None:
    async with open_console() as console:
        answer = await console.get("/metrics", method=method)

    assert answer.status == 405
    assert answer.headers["Allow"] == "GET,HEAD"


@pytest.mark.asyncio
async def test_a_head_is_answered_without_a_body() -> None:
    async with open_console() as console:
        answer = await console.get("/health/live", method="HEAD")

    assert (answer.status, answer.body) == (200, b"")
