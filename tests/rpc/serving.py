"""The real server, with real mutual TLS, in front of a fake peer; and channels to it."""

import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

import grpc
from caretree.config.values import (
    Api,
    Config,
    Http,
    Listen,
    Log,
    PeerSection,
    Principal,
    PrincipalKind,
    Timing,
    TlsFiles,
)
from caretree.ledger.values import Role
from caretree.model.ids import Digest, MemberId
from caretree.model.reasons import Reason
from caretree.node.admission import Admission, Shown
from caretree.node.clock import utc_now
from caretree.node.deny_list import DenyList
from caretree.node.identity import PrincipalIdentity
from caretree.rpc.guard import Guard
from caretree.rpc.server import build_server
from caretree.telemetry.health import Health, HealthState
from caretree.telemetry.logs import build_logger
from caretree.telemetry.metrics import Metrics, Port, ReloadedFile
from prometheus_client import CollectorRegistry

from tests.certificates import Authority, KeyPair, make_authority
from tests.ledger.builders import CONSORTIUM, HOSPITAL, OFFICE, TOWN, Consortium, found, founder
from tests.rpc.fake_ledger import FakeLedger
from tests.rpc.fake_peer import FakePeer

SERVER_NAME: Final = "localhost"
SILENT: Final = build_logger(lambda _line: None, level="error")
SYSTEM: Final = "clinic-system"
DOCTOR: Final = "dr-wang"
HEAD: Final = "dr-head"  # holds two roles
AUDITOR: Final = "auditor-li"
OPERATOR: Final = "operator"
STRANGER: Final = "stranger"  # has a certificate and no place in the configuration
PRINCIPALS: Final = (
    Principal(name=SYSTEM, kind=PrincipalKind.SYSTEM, roles=frozenset(Role)),
    Principal(name=DOCTOR, kind=PrincipalKind.PERSON, roles=frozenset({Role.PHYSICIAN})),
    Principal(
        name=HEAD, kind=PrincipalKind.PERSON, roles=frozenset({Role.PHYSICIAN, Role.AUDITOR})
    ),
    Principal(name=AUDITOR, kind=PrincipalKind.PERSON, roles=frozenset({Role.AUDITOR})),
    Principal(name=OPERATOR, kind=PrincipalKind.OPERATOR),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """A consortium whose genesis holds real certificate authorities."""

    consortium: Consortium
    authorities: dict[MemberId, Authority]
    server: KeyPair


@cache
def trusted() -> Trusted:
    """One consortium for all tests of a run; making keys takes time."""
    members = (TOWN, HOSPITAL, OFFICE)
    authorities = {member: make_authority(CONSORTIUM, member) for member in members}
    founders = [
        replace(founder(member), ca_certificate=authorities[member].der) for member in members
    ]
    consortium = found(founders)
    return Trusted(
        consortium=consortium,
        authorities=authorities,
        server=authorities[TOWN].issue_peer(consortium[TOWN].peer.peer),
    )


# What the guard knows of a caller's certificate, where no connection was made.
SHOWN: Final = Shown(
    identity=PrincipalIdentity(member=TOWN, principal=SYSTEM),
    fingerprint=Digest(bytes(32)),
    not_before=datetime(2020, 1, 1, tzinfo=UTC),
    not_after=datetime(2099, 1, 1, tzinfo=UTC),
)


@cache
def principal_pair(name: str) -> KeyPair:
    """The certificate of a principal of the town."""
    return trusted().authorities[TOWN].issue_principal(name)


def nobody_denied() -> DenyList:
    """A deny list without a file."""
    return DenyList(None, metrics=Metrics(CollectorRegistry()), log=SILENT)


@dataclass(slots=True)
class Recorder:
    """Remembers what was counted."""

    started: list[tuple[str, str, str]] = field(default_factory=list)
    handled: list[tuple[str, str, str, str]] = field(default_factory=list)
    refused: list[tuple[Port, Reason]] = field(default_factory=list)
    not_reloaded: list[ReloadedFile] = field(default_factory=list)

    def certificate_refused(self, port: Port, reason: Reason, /) -> None:
        self.refused.append((port, reason))

    def reload_failed(self, file: ReloadedFile, /) -> None:
        self.not_reloaded.append(file)

    def grpc_started(self, grpc_type: str, service: str, method: str, /) -> None:
        self.started.append((grpc_type, service, method))

    def grpc_handled(
        self, grpc_type: str, service: str, method: str, code: str, seconds: float, /
    ) -> None:
        assert seconds >= 0
        self.handled.append((grpc_type, service, method, code))


@dataclass(slots=True)
class Serving:
    """A server that runs."""

    peer: FakePeer
    address: str
    recorder: Recorder
    health: Health
    server: grpc.aio.Server

    def channel(self, pair: KeyPair | None) -> grpc.aio.Channel:
        """A channel of its own connection, with a client certificate or without."""
        return channel_to(self.address, pair)

    def as_principal(self, name: str) -> grpc.aio.Channel:
        """A channel of a principal of the town."""
        return self.channel(principal_pair(name))


def guard_of_town(
    *,
    now: Callable[[], datetime] = utc_now,
    stopping: bool = False,
    deny_list: DenyList | None = None,
    refused: Callable[[Port, Reason], None] = lambda _port, _reason: None,
) -> Guard:
    """The guard of the town's client port."""
    genesis = trusted().consortium.genesis
    return Guard(
        admission=Admission(genesis, deny_list or nobody_denied(), now=now),
        member=TOWN,
        principals=PRINCIPALS,
        stopping=lambda: stopping,
        refused=refused,
    )


@asynccontextmanager
async def serving(
    peer: FakePeer | None = None,
    *,
    reflection: bool = False,
    now: Callable[[], datetime] | None = None,
    address: str | None = None,
    deny_list: DenyList | None = None,
    principals: tuple[Principal, ...] = PRINCIPALS,
) -> AsyncIterator[Serving]:
    """The server of the town, healthy."""
    peer = peer or FakePeer(ledger=FakeLedger(trusted().consortium))
    recorder, health = Recorder(), Health()
    health.change(HealthState.CAN_COMMIT, reason="a leader is known")
    with tempfile.TemporaryDirectory() as folder:
        config = config_of(
            Path(folder),
            address or free_address(),
            reflection=reflection,
            principals=principals,
        )
        server = build_server(
            peer,
            config,
            metrics=recorder,
            health=health,
            deny_list=deny_list or nobody_denied(),
            version="0.1.0",
            log=SILENT,
            now=now or (lambda: datetime.now(UTC)),
        )
        await server.start()
        try:
            yield Serving(
                peer=peer,
                address=config.listen.client,
                recorder=recorder,
                health=health,
                server=server,
            )
        finally:
            await server.stop(grace=None)


def config_of(
    folder: Path,
    address: str,
    *,
    reflection: bool,
    principals: tuple[Principal, ...] = PRINCIPALS,
) -> Config:
    """The town's configuration, its certificate written to the folder."""
    certificate, key = folder / "peer.pem", folder / "peer.key"
    certificate.write_bytes(trusted().server.certificate)
    key.write_bytes(trusted().server.key)
    return Config(
        peer=PeerSection(member=TOWN, data_directory=folder, keystore=folder / "keystore"),
        listen=Listen(client=address, peer="127.0.0.1:1"),
        tls=TlsFiles(peer_certificate=certificate, peer_key=key),
        peers={},
        principals=principals,
        api=Api(reflection=reflection),
        http=Http(),
        log=Log(),
        timing=Timing(),
    )


def free_address() -> str:
    """An address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def channel_to(
    address: str, pair: KeyPair | None, *options: tuple[str, int | str]
) -> grpc.aio.Channel:
    """A channel of its own connection to the town's peer, with a client certificate or without."""
    credentials = grpc.ssl_channel_credentials(
        root_certificates=trusted().authorities[TOWN].pem,
        private_key=None if pair is None else pair.key,
        certificate_chain=None if pair is None else pair.certificate,
    )
    always = (
        ("grpc.ssl_target_name_override", SERVER_NAME),
        ("grpc.use_local_subchannel_pool", 1),
    )
    return grpc.aio.secure_channel(address, credentials, (*always, *options))
