"""Who may do what at which port: the table that the matrix holds the servers to.

It is written down here a second time on purpose, without a look at `rpc.permissions`: both must
agree, and what is served without a row here fails the matrix.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from typing_extensions import override


class Port(Enum):
    """Where a daemon listens."""

    CLIENT = "client"
    PEER = "peer"
    HTTP = "http"


class Kind(Enum):
    """Who calls, by what decides whether it may."""

    NOBODY = "nobody"  # shows no certificate
    SYSTEM = "system"  # of this member, acts for a person
    PERSON = "person"  # of this member
    OPERATOR = "operator"  # of this member
    UNLISTED = "unlisted"  # of this member, not in the configuration
    FOREIGN = "foreign"  # another member's, whom its own peer lists
    OWN_PEER = "own peer"
    OTHER_PEER = "other peer"
    UNFOUNDED_PEER = "unfounded peer"  # of this member, not in the genesis


class State(Enum):
    """What is the matter with a certificate."""

    NONE = "none"
    SELF_SIGNED = "self-signed"
    WRONG_AUTHORITY = "another member's authority"
    FORMER_AUTHORITY = "an authority of this name that no longer counts"
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    DENIED = "on the deny list"
    WRONG_NAME = "no name of ours"
    WRONG_CONSORTIUM = "another consortium of the same members"
    FOREIGN_NAME = "the own authority naming another consortium"
    OTHER_KIND = "a peer's for a principal, a principal's for a peer"
    OLD_TLS = "TLS 1.2"
    VALID = "valid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One who calls: `role` is stated with each call, `held` says whether it may be."""

    kind: Kind
    role: str = "physician"
    held: bool = True

    @override
    def __str__(self) -> str:
        return f"{self.kind.value} as {self.role}{'' if self.held else ', not held'}"


ROLES: Final = ("physician", "nurse", "laboratory", "registrar", "auditor")
CALLERS: Final = (
    Caller(kind=Kind.NOBODY),
    *(Caller(kind=Kind.SYSTEM, role=role) for role in ROLES),
    Caller(kind=Kind.SYSTEM, held=False),
    *(Caller(kind=Kind.PERSON, role=role) for role in ROLES),
    Caller(kind=Kind.PERSON, held=False),
    *(Caller(kind=kind) for kind in list(Kind)[3:]),
)

OK: Final = "OK"
# What a client sees where TLS ends the connection: no reason can be given on it.
NO_CONNECTION: Final = "UNAVAILABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Who may call a method, and what tells that it was reached.

    With `roles`, persons and systems in these roles may; without, `kinds` may.
    """

    roles: frozenset[str] = frozenset()
    kinds: frozenset[Kind] = frozenset()
    reached: str = OK
    asks_peer: bool = True  # it is answered by the peer behind the port, not by the port itself


def _acting(*roles: str, reached: str = OK) -> Row:
    return Row(roles=frozenset(roles), reached=reached)


_CLINICAL: Final = frozenset((Kind.SYSTEM, Kind.PERSON))
_LISTED: Final = _CLINICAL | {Kind.OPERATOR}
_OF_OTHERS: Final = Row(kinds=_LISTED, asks_peer=False)
_API: Final = "/caretree.api.v1"

CLIENT_ROWS: Final[Mapping[str, Row]] = {
    f"{_API}.RecordService/Append": _acting("physician", "nurse", "laboratory", "registrar"),
    f"{_API}.RecordService/AppendStream": _acting("physician", "nurse", "laboratory", "registrar"),
    f"{_API}.RecordService/GetRecord": _acting("physician", "nurse", "laboratory"),
    f"{_API}.RecordService/ListHistory": _acting("physician", "nurse", "laboratory"),
    f"{_API}.AccessService/CreateGrant": _acting("physician", "registrar"),
    # There is no such grant, but who is told so was let in.
    f"{_API}.AccessService/RevokeGrant": _acting("physician", "registrar", reached="UNKNOWN_GRANT"),
    f"{_API}.AccessService/ListGrants": _acting(*ROLES),
    f"{_API}.AccessService/ListTrail": _acting("auditor"),
    f"{_API}.ProofService/GetReceipt": Row(kinds=_CLINICAL),
    f"{_API}.ProofService/GetCheckpoint": Row(kinds=_LISTED),
    f"{_API}.ProofService/GetConsistencyProof": Row(kinds=_LISTED),
    f"{_API}.OperationService/GetStatus": Row(kinds=_LISTED),
    f"{_API}.OperationService/TransferLeadership": Row(kinds=frozenset((Kind.OPERATOR,))),
    "/grpc.health.v1.Health/Check": _OF_OTHERS,
    "/grpc.health.v1.Health/List": _OF_OTHERS,
    "/grpc.health.v1.Health/Watch": _OF_OTHERS,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _OF_OTHERS,
}
PEER_ROWS: Final[Mapping[str, Row]] = {
    "/caretree.peer.v1.PeerService/Deliver": Row(kinds=frozenset((Kind.OTHER_PEER,))),
}
# Paths of the HTTP port, with an address that one leads to. It asks for no certificate: it is bound
# to the loopback or a management network (configuration, `listen.http`).
HTTP_ROWS: Final[Mapping[str, str]] = {
    "/metrics": "/metrics",
    "/health/live": "/health/live",
    "/health/ready": "/health/ready",
    "/checkpoint": "/checkpoint",
    "/{path}": "/tile/0/000",
}

_BY_STATE: Final[Mapping[State, str]] = {
    State.NONE: NO_CONNECTION,
    State.SELF_SIGNED: NO_CONNECTION,
    State.FORMER_AUTHORITY: NO_CONNECTION,
    State.WRONG_CONSORTIUM: NO_CONNECTION,
    State.EXPIRED: NO_CONNECTION,
    State.NOT_YET_VALID: NO_CONNECTION,
    State.OLD_TLS: "NO_CERTIFICATE",
    State.WRONG_AUTHORITY: "NO_CERTIFICATE",
    State.WRONG_NAME: "NO_CERTIFICATE",
    State.FOREIGN_NAME: "NO_CERTIFICATE",
    State.DENIED: "CERTIFICATE_DENIED",
}
# At which no connection comes about, and so no certificate is judged.
WITHOUT_CONNECTION: Final = frozenset(s for s in _BY_STATE if _BY_STATE[s] == NO_CONNECTION)
_PEERS: Final = frozenset((Kind.OWN_PEER, Kind.OTHER_PEER, Kind.UNFOUNDED_PEER))
_NEVER_AT_CLIENT_PORT: Final = {
    Kind.FOREIGN: "WRONG_MEMBER",
    Kind.UNLISTED: "UNKNOWN_PRINCIPAL",
    **dict.fromkeys(_PEERS, "WRONG_PORT"),
}


def is_peer(caller: Caller) -> bool:
    """Whether this is some member's daemon."""
    return caller.kind in _PEERS


def impossible(port: Port, caller: Caller, state: State) -> str | None:
    """Why there can be no such cell; None where there is one."""
    if (caller.kind is Kind.NOBODY) != (state is State.NONE):
        return "who shows no certificate is nobody, and nobody shows none"
    if port is Port.HTTP and caller.kind is not Kind.NOBODY:
        return "the HTTP port has no TLS, so no certificate can be shown at it"
    return None


def expected(port: Port, row: Row, caller: Caller, state: State) -> str:
    """What a call in this cell is answered: OK, a reason, or that there is no connection."""
    if state in _BY_STATE:
        return _BY_STATE[state]
    if state is State.OTHER_KIND:
        return _of_other_kind(port, caller)
    return _at_peer_port(row, caller) if port is Port.PEER else _at_client_port(row, caller)


def _of_other_kind(port: Port, caller: Caller) -> str:
    """A principal with a peer's certificate is no founded peer; a peer with one is not listed."""
    if not is_peer(caller):
        return "NOT_A_PEER" if port is Port.PEER else "WRONG_PORT"
    if port is Port.PEER:
        return "WRONG_PORT"
    return "WRONG_MEMBER" if caller.kind is Kind.OTHER_PEER else "UNKNOWN_PRINCIPAL"


def _at_peer_port(row: Row, caller: Caller) -> str:
    if caller.kind in row.kinds:
        return row.reached
    return "NOT_A_PEER" if is_peer(caller) else "WRONG_PORT"


def _at_client_port(row: Row, caller: Caller) -> str:
    if caller.kind in _NEVER_AT_CLIENT_PORT:
        return _NEVER_AT_CLIENT_PORT[caller.kind]
    if not row.roles:
        return row.reached if caller.kind in row.kinds else "ROLE_NOT_PERMITTED"
    if caller.kind in _CLINICAL and not caller.held:
        return "ROLE_NOT_HELD"
    may = caller.kind in _CLINICAL and caller.role in row.roles
    return row.reached if may else "ROLE_NOT_PERMITTED"
