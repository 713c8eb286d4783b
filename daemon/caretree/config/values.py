"""What a daemon is told by its one file, as values. Field names are the file's keys.

Membership, keys and certificate authorities are no configuration: they come from the genesis. A
file can say where a member's peer is found, never who the members are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from caretree.ledger.values import Role
from caretree.model.ids import MemberId


class PrincipalKind(Enum):
    """What stands behind a client certificate."""

    PERSON = "person"  # acts for itself, in a role it holds
    SYSTEM = "system"  # acts for a person whom it names with every call
    OPERATOR = "operator"  # looks after the peer; holds no role, so it sees no patient


class LogLevel(Enum):
    """From which severity on a line is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSection:
    """Whose peer this is and where it keeps what it must not lose.

    Without `keystore_key` the key is the systemd credential `keystore-key`.
    """

    member: MemberId
    data_directory: Path
    keystore: Path
    keystore_key: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where the peer listens, each as host:port; no HTTP where `http` is absent."""

    client: str
    peer: str
    http: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """One certificate for the peer port and the client port; read again when they change.

    Whoever shows a certificate that the file `deny_list` names is let in at neither.
    """

    peer_certificate: Path
    peer_key: Path
    deny_list: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A client certificate's name, and the roles a person holds or a system may state."""

    name: str
    kind: PrincipalKind
    roles: frozenset[Role] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """What the client port offers beside the services themselves."""

    reflection: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """What the HTTP port offers beside metrics and health."""

    tiles: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What is written to the journal."""

    level: LogLevel = LogLevel.INFO


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Raft's clock; the same at every voter. A follower waits `election_ticks` for a leader."""

    tick_ms: int = 50
    heartbeat_ticks: int = 2
    election_ticks: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A daemon's whole configuration."""

    peer: PeerSection
    listen: Listen
    tls: TlsFiles
    peers: Mapping[MemberId, str]  # instead of the address that the genesis names
    principals: tuple[Principal, ...]
    api: Api
    http: Http
    log: Log
    timing: Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """How the command line reaches its member's peer and checks what it answers."""

    address: str
    server_name: str
    ca_certificate: Path
    certificate: Path
    key: Path
    policy: Path
    origin: str
