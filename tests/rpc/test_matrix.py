"""Every method and path that is served, called by everybody, under every kind of certificate.

Each cell is a real call over real TLS to a real server; what cannot be is counted as such, with the
reason. What is answered is held against the table of `matrix_policy`.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc
import pytest
from caretree.config.values import TlsFiles
from caretree.console.pages import Pages
from caretree.model.ids import PeerId
from caretree.model.reasons import Reason
from caretree.node.admission import Admission
from caretree.node.clock import utc_now
from caretree.node.deny_list import DenyList
from caretree.node.peer_server import PeerServicer, build_peer_server
from caretree.proto.api.v1 import records_pb2
from caretree.proto.peer.v1 import peer_pb2
from caretree.telemetry.health import Health, HealthState
from caretree.telemetry.metrics import Metrics
from google.protobuf.descriptor import MethodDescriptor
from prometheus_client import CollectorRegistry

from tests.certificates import KeyPair
from tests.console.served import FakeLog, open_console
from tests.ledger.builders import TOWN
from tests.rpc.matrix_calls import Requests, Served, answer_to, watched_servers
from tests.rpc.matrix_certificates import fingerprint_of, listed, pair_of
from tests.rpc.matrix_policy import (
    CALLERS,
    CLIENT_ROWS,
    HTTP_ROWS,
    OK,
    PEER_ROWS,
    WITHOUT_CONNECTION,
    Caller,
    Kind,
    Port,
    Row,
    State,
    expected,
    impossible,
)
from tests.rpc.raw_http2 import connection
from tests.rpc.requests import append_request
from tests.rpc.serving import SERVER_NAME, SILENT, channel_to, free_address, serving, trusted
from tests.shared import PROJECT_ROOT

pytestmark = [pytest.mark.slow, pytest.mark.asyncio]

# So many certificates are tried at one time.
AT_ONCE: Final = 8

Certificates = Mapping[tuple[Caller, State], KeyPair | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A port, what it serves, and what is asked of it."""

    port: Port
    address: str
    rows: Mapping[str, Row]
    methods: Mapping[str, MethodDescriptor]
    requests: Requests


@dataclass(slots=True)
class Tally:
    """What the cells came to."""

    wrong: list[str] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)

    def note(self, where: str, row: Row, *, wanted: str, found: str) -> None:
        """One cell that was tried."""
        if found != wanted:
            self.wrong.append(f"{where}: expected {wanted}, found {found}")
        let_in = wanted == row.reached
        outcome = "let in" if let_in else wanted
        self.counted[outcome] += 1
        self.counted["asked the peer"] += let_in and row.asks_peer


async def test_the_client_port_lets_in_whom_the_table_says_and_tells_all_others_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = _certificates(Port.CLIENT)
    with watched_servers(monkeypatch) as served:
        async with serving(
            reflection=True, deny_list=_deny_list(tmp_path, certificates), principals=listed()
        ) as server:
            record_id = await _first_record(server.address, certificates)
            before = len(server.peer.calls)
            target = Target(
                port=Port.CLIENT,
                address=server.address,
                rows=CLIENT_ROWS,
                methods=served.methods,
                requests=Requests(record_id),
            )
            _check_rows(served, CLIENT_ROWS)
            tally = await _try_all(target, certificates)
            asked = len(server.peer.calls) - before

    assert tally.wrong == []
    # Nobody whom the table keeps out came as far as the peer itself.
    assert asked == tally.counted["asked the peer"]
    _check_whole(tally, Port.CLIENT, len(CLIENT_ROWS))
    refusals = Counter(reason.name for _, reason in server.recorder.refused)
    by_certificate = {"NO_CERTIFICATE", "CERTIFICATE_DENIED", "WRONG_PORT", "WRONG_MEMBER"}
    assert set(refusals) == by_certificate | {"UNKNOWN_PRINCIPAL"}
    # A stream may have been tried more than once.
    assert all(refusals[reason] >= tally.counted[reason] > 0 for reason in refusals)


async def test_the_peer_port_lets_in_other_peers_and_tells_all_others_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = _certificates(Port.PEER)
    with watched_servers(monkeypatch) as served:
        async with _peer_port(tmp_path, certificates) as (address, metrics):
            target = Target(
                port=Port.PEER,
                address=address,
                rows=PEER_ROWS,
                methods=served.methods,
                requests=Requests(bytes(16)),
            )
            _check_rows(served, PEER_ROWS)
            tally = await _try_all(target, certificates)

    assert tally.wrong == []
    _check_whole(tally, Port.PEER, len(PEER_ROWS))
    for reason in ("NO_CERTIFICATE", "CERTIFICATE_DENIED", "WRONG_PORT", "NOT_A_PEER"):
        labels = {"port": "peer", "reason": reason}
        counted = metrics.registry.get_sample_value(
            "caretree_node_certificates_refused_total", labels
        )
        assert counted is not None
        assert counted >= tally.counted[reason] > 0


async def test_the_http_port_knows_nobody_and_says_what_everybody_may_know() -> None:
    pages = Pages(exposition=bytes, health=Health(), log=FakeLog(certified=600), on_fatal=_unwanted)
    resources = pages.application().router.resources()
    paths = {resource.canonical for resource in resources}
    tally = Tally()
    async with open_console(FakeLog(certified=600)) as console:
        console.health.change(HealthState.CAN_COMMIT, reason="a leader is known")
        for path in HTTP_ROWS.values():
            answer = await console.get(path)
            tally.note(path, Row(), wanted=OK, found=OK if answer.status == 200 else "refused")

    assert paths == set(HTTP_ROWS)
    assert tally.wrong == []
    _check_whole(tally, Port.HTTP, len(HTTP_ROWS))


async def test_the_page_of_edges_says_how_many_cells_there_are() -> None:
    methods = {Port.CLIENT: CLIENT_ROWS, Port.PEER: PEER_ROWS, Port.HTTP: HTTP_ROWS}
    cells = [
        impossible(port, caller, state)
        for port, rows in methods.items()
        for _ in rows
        for caller, state in _pairs()
    ]
    page = (PROJECT_ROOT / "ops" / "docs" / "edges.md").read_text(encoding="utf-8")

    assert f"the {len(cells):,} cells" in page
    assert f"{cells.count(None):,} of them are calls over real TLS" in page


def _check_rows(served: Served, rows: Mapping[str, Row]) -> None:
    """Every method that is served has a row, and every row a method of a service's descriptor."""
    assert served.paths == set(rows)
    assert set(served.methods) == set(rows)


def _check_whole(tally: Tally, port: Port, methods: int) -> None:
    """No cell of the product was left out."""
    tried = sum(tally.counted.values()) - tally.counted["asked the peer"]
    never = sum(impossible(port, caller, state) is not None for caller, state in _pairs())
    assert tried + methods * never == methods * len(CALLERS) * len(State)
    assert tried == methods * (1 if port is Port.HTTP else 217)


def _pairs() -> list[tuple[Caller, State]]:
    return [(caller, state) for caller in CALLERS for state in State]


def _certificates(port: Port) -> Certificates:
    return {
        (caller, state): pair_of(caller, state)
        for caller, state in _pairs()
        if impossible(port, caller, state) is None
    }


def _deny_list(folder: Path, certificates: Certificates) -> DenyList:
    """A list that names the certificates which are to be on it."""
    denied = [
        f"{fingerprint_of(pair)}  {caller}"
        for (caller, state), pair in certificates.items()
        if state is State.DENIED and pair is not None
    ]
    path = folder / "denied"
    path.write_text("\n".join(denied))
    return DenyList(path, metrics=Metrics(CollectorRegistry()), log=SILENT)


async def _first_record(address: str, certificates: Certificates) -> bytes:
    """A record for the readers to read."""
    system = next(caller for caller in CALLERS if caller.kind is Kind.SYSTEM)
    request = append_request()
    async with _channel(address, certificates[system, State.VALID]) as channel:
        append = channel.unary_unary(
            "/caretree.api.v1.RecordService/Append",
            request_serializer=type(request).SerializeToString,
            response_deserializer=records_pb2.AppendResponse.FromString,
        )
        answer = await append(request, timeout=20)
    return bytes(answer.record_id)


async def _try_all(target: Target, certificates: Certificates) -> Tally:
    tally, turns = Tally(), asyncio.Semaphore(AT_ONCE)

    async def take_turn(caller: Caller, state: State, pair: KeyPair | None) -> None:
        async with turns:
            if state is State.OLD_TLS:
                assert pair is not None
                found = await asyncio.to_thread(_answers_over_old_tls, target, pair)
            else:
                found = await _answers(target, caller, pair, each_alone=state in WITHOUT_CONNECTION)
        for path, outcome in found.items():
            row = target.rows[path]
            wanted = expected(target.port, row, caller, state)
            where = f"{target.port.value} {path}, {caller}, {state.value}"
            tally.note(where, row, wanted=wanted, found=outcome)

    await asyncio.gather(*(take_turn(*cell, pair) for cell, pair in certificates.items()))
    return tally


async def _answers(
    target: Target, caller: Caller, pair: KeyPair | None, *, each_alone: bool
) -> dict[str, str]:
    """What each method answers; over one channel, or each over its own, with its own handshake."""
    groups = [[path] for path in target.methods] if each_alone else [list(target.methods)]
    found: dict[str, str] = {}
    for paths in groups:
        async with _channel(target.address, pair) as channel:
            for path in paths:
                method = target.methods[path]
                request = target.requests.of(method, caller)
                found[path] = await answer_to(channel, path, method, request)
    return found


def _answers_over_old_tls(target: Target, pair: KeyPair) -> dict[str, str]:
    with connection(
        target.address,
        authority=trusted().authorities[TOWN].pem,
        pair=pair,
        version=ssl.TLSVersion.TLSv1_2,
        name=SERVER_NAME,
    ) as raw:
        return {path: _old_reason(raw.call(path)) for path in target.methods}


def _old_reason(answer: bytes) -> str:
    """The refusal, which is the only answer that carries its words."""
    reason = Reason.NO_CERTIFICATE
    told = any(words.encode() in answer for words in (reason.name, reason.explanation.cause))
    return reason.name if told else "something else"


def _channel(address: str, pair: KeyPair | None) -> grpc.aio.Channel:
    return channel_to(address, pair, ("grpc.enable_retries", 0))


class _Ignoring:
    """Takes in whatever a peer says."""

    async def receive(self, sender: PeerId, request: peer_pb2.DeliverRequest) -> None:
        """See `Receiver.receive`."""


@asynccontextmanager
async def _peer_port(
    folder: Path, certificates: Certificates
) -> AsyncIterator[tuple[str, Metrics]]:
    """The town's peer port with nobody behind it."""
    consortium, metrics, address = (
        trusted().consortium,
        Metrics(CollectorRegistry()),
        free_address(),
    )
    tls = TlsFiles(peer_certificate=folder / "peer.pem", peer_key=folder / "peer.key")
    tls.peer_certificate.write_bytes(trusted().server.certificate)
    tls.peer_key.write_bytes(trusted().server.key)
    deny_list = _deny_list(folder, certificates)
    servicer = PeerServicer(
        consortium.genesis,
        consortium[TOWN].peer.peer,
        _Ignoring(),
        admission=Admission(consortium.genesis, deny_list, now=utc_now),
        version="1",
        metrics=metrics,
        log=SILENT,
    )
    server = build_peer_server(
        servicer,
        listen=address,
        tls=tls,
        genesis=consortium.genesis,
        metrics=metrics,
        log=SILENT,
    )
    await server.start()
    try:
        yield address, metrics
    finally:
        await server.stop(grace=None)


def _unwanted(error: Exception) -> None:
    raise AssertionError from error
