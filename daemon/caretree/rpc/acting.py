"""For whom a call acts: the principal itself, or the person whom a system names."""

from typing import Final

from caretree.config.values import PrincipalKind
from caretree.ledger.body_fields import PERSON_LENGTH_MAX
from caretree.ledger.values import Actor, Role
from caretree.ledger.wire import check_visible
from caretree.model.reasons import CallError, Reason
from caretree.proto.api.v1 import records_pb2
from caretree.rpc.fields import FieldChecks
from caretree.rpc.guard import Caller

_ID: Final = "acting_person.id"
_ROLE: Final = "acting_person.role"
_ROLES: Final = {role.value: role for role in Role}


def acting_as(
    caller: Caller, person: records_pb2.ActingPerson, checks: FieldChecks
) -> Actor | None:
    """Who acts in what role; None when the fields do not say, which is noted.

    Raises:
        CallError: ACTING_PERSON_REQUIRED: a system names nobody; ROLE_NOT_HELD: the principal may
            not act in, or state, this role; ROLE_NOT_PERMITTED: the role may not call this.
    """
    role = _role(caller, person, checks)
    if caller.principal.kind is PrincipalKind.PERSON:
        if person.id:
            checks.refuse(_ID, "expected none: the principal is a person itself")
    else:
        checks.take(lambda: check_visible(person.id, length_max=PERSON_LENGTH_MAX, field=_ID))
    if role is None:
        return None
    if role not in caller.principal.roles:
        raise CallError(Reason.ROLE_NOT_HELD)
    if role not in caller.permission.roles:
        raise CallError(Reason.ROLE_NOT_PERMITTED)
    return Actor(principal=caller.principal.name, person=person.id, role=role)


def _role(caller: Caller, person: records_pb2.ActingPerson, checks: FieldChecks) -> Role | None:
    if caller.principal.kind is not PrincipalKind.PERSON:
        if not person.id or person.role == records_pb2.PERSON_ROLE_UNSPECIFIED:
            raise CallError(Reason.ACTING_PERSON_REQUIRED)
    elif person.role == records_pb2.PERSON_ROLE_UNSPECIFIED and len(caller.principal.roles) == 1:
        return next(iter(caller.principal.roles))
    role = _ROLES.get(person.role)
    if role is None:
        checks.refuse(_ROLE, "expected one of the roles that the principal holds")
    return role
