"""Who may call what: one table, by method. A method without a row is refused to everybody.

This is the door. What a role may do to which records is decided again, where an entry is applied,
from the tables of `ledger.access`, which this one only points to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from caretree.config.values import PrincipalKind
from caretree.ledger.access import APPENDING_ROLES, AUDITING_ROLES, GRANTING_ROLES, READING_ROLES
from caretree.ledger.values import Role

_ACTING: Final = frozenset((PrincipalKind.PERSON, PrincipalKind.SYSTEM))
_OPERATORS: Final = frozenset((PrincipalKind.OPERATOR,))
_ALL: Final = frozenset(PrincipalKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What a call needs: a principal of one of these kinds, acting in one of these roles.

    Without roles nobody is acted for, and the request names nobody.
    """

    kinds: frozenset[PrincipalKind]
    roles: frozenset[Role]
    deadline: bool


def _acting(roles: frozenset[Role]) -> Permission:
    return Permission(kinds=_ACTING, roles=roles, deadline=True)


def _of(kinds: frozenset[PrincipalKind], *, deadline: bool = True) -> Permission:
    return Permission(kinds=kinds, roles=frozenset(), deadline=deadline)


_API: Final = "/caretree.api.v1"

PERMISSIONS: Final[Mapping[str, Permission]] = {
    f"{_API}.RecordService/Append": _acting(APPENDING_ROLES),
    f"{_API}.RecordService/AppendStream": _acting(APPENDING_ROLES),
    f"{_API}.RecordService/GetRecord": _acting(READING_ROLES),
    f"{_API}.RecordService/ListHistory": _acting(READING_ROLES),
    f"{_API}.AccessService/CreateGrant": _acting(GRANTING_ROLES),
    f"{_API}.AccessService/RevokeGrant": _acting(GRANTING_ROLES),
    # Whoever works with a history may know whom it is open to; the trail tells an auditor anyway.
    f"{_API}.AccessService/ListGrants": _acting(frozenset(Role)),
    f"{_API}.AccessService/ListTrail": _acting(AUDITING_ROLES),
    # A receipt names a pseudonym; an operator sees no patient.
    f"{_API}.ProofService/GetReceipt": _of(_ACTING),
    f"{_API}.ProofService/GetCheckpoint": _of(_ALL),
    f"{_API}.ProofService/GetConsistencyProof": _of(_ALL),
    f"{_API}.OperationService/GetStatus": _of(_ALL),
    f"{_API}.OperationService/TransferLeadership": _of(_OPERATORS),
    # The protocols of others: probes watch for ever, and tools set no deadline.
    "/grpc.health.v1.Health/Check": _of(_ALL, deadline=False),
    "/grpc.health.v1.Health/List": _of(_ALL, deadline=False),
    "/grpc.health.v1.Health/Watch": _of(_ALL, deadline=False),
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _of(_ALL, deadline=False),
}
