"""Admits calls: which principal is on the line, may it call this method, is there room.

Everything is denied that is not allowed: an unlisted principal, a method without a row, a call
without a deadline. Certificates are looked at again at every call, and at every message of a
stream: see `node.admission`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from caretree.config.values import Principal
from caretree.model.ids import MemberId
from caretree.model.reasons import CallError, Reason
from caretree.node.admission import Admission, AuthContext, Shown
from caretree.node.identity import Identity, PeerIdentity
from caretree.rpc.permissions import PERMISSIONS, Permission
from caretree.telemetry.metrics import Port

# Calls of one principal that are answered at once: 128, and those whose answer is just leaving.
CALLS_PER_PRINCIPAL_MAX: Final = 160
# Calls of all principals; one principal's own bound is reached long before.
CALLS_MAX: Final = 1024
BUSY_RETRY_MS: Final = 100
# However long a client would wait, what it waits for is given up by then.
CALL_S_MAX: Final = 60.0
# What the answer needs to reach a client that still waits.
_TRAVEL_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An admitted principal. `deadline` is the loop's time by which its call is to be answered.

    `shown` is the certificate it came under, which may stop counting while the call goes on.
    """

    principal: Principal
    permission: Permission
    deadline: float
    shown: Shown


_CALLER: ContextVar[Caller] = ContextVar("caller")


def current_caller() -> Caller:
    """Who makes the call that is being answered."""
    return _CALLER.get()


def answer_by(loop_time: float, remaining_s: float | None, *, longest_s: float) -> float:
    """The loop's time by which to answer a client that waits so long; None waits for ever."""
    remaining = longest_s if remaining_s is None else min(remaining_s, longest_s)
    return loop_time + remaining - min(_TRAVEL_S, remaining / 10)


class Guard:
    """The door of one peer's client port."""

    def __init__(
        self,
        *,
        admission: Admission,
        member: MemberId,
        principals: Iterable[Principal],
        stopping: Callable[[], bool],
        refused: Callable[[Port, Reason], None],
    ) -> None:
        self._admission = admission
        self._member = member
        self._principals = {principal.name: principal for principal in principals}
        self._stopping = stopping
        self._refused = refused
        self._calls: Counter[str] = Counter()
        self._calls_of_all = 0

    @contextmanager
    def admit(
        self, method: str, auth: AuthContext, *, loop_time: float, remaining_s: float | None
    ) -> Iterator[Caller]:
        """The caller, for as long as its call is answered.

        Raises:
            CallError: it is not admitted.
        """
        with self._counted():
            shown = self._admission.examine(auth)
            principal = self._principal(shown.identity)
        permission = PERMISSIONS.get(method)
        if permission is None or principal.kind not in permission.kinds:
            raise CallError(Reason.ROLE_NOT_PERMITTED)
        if remaining_s is None and permission.deadline:
            raise CallError(Reason.NO_DEADLINE)
        # Calls with a deadline are our own; those of others' protocols tell that the peer stops.
        if permission.deadline and self._stopping():
            raise CallError(Reason.STARTING)
        full = self._calls_of_all >= CALLS_MAX
        if full or self._calls[principal.name] >= CALLS_PER_PRINCIPAL_MAX:
            raise CallError(Reason.OVERLOADED, retry_after_ms=BUSY_RETRY_MS)
        caller = Caller(
            principal=principal,
            permission=permission,
            deadline=answer_by(loop_time, remaining_s, longest_s=CALL_S_MAX),
            shown=shown,
        )
        self._calls[principal.name] += 1
        self._calls_of_all += 1
        token = _CALLER.set(caller)
        try:
            yield caller
        finally:
            _CALLER.reset(token)
            self._calls[principal.name] -= 1
            self._calls_of_all -= 1

    def check(self, caller: Caller) -> None:
        """Return while the caller's certificate still counts; asked at each message of a stream.

        Raises:
            CallError: CERTIFICATE_EXPIRED or CERTIFICATE_DENIED.
        """
        with self._counted():
            self._admission.check(caller.shown)

    def _principal(self, identity: Identity) -> Principal:
        if isinstance(identity, PeerIdentity):
            raise CallError(Reason.WRONG_PORT)
        if identity.member != self._member:
            raise CallError(Reason.WRONG_MEMBER)
        principal = self._principals.get(identity.principal)
        if principal is None:
            raise CallError(Reason.UNKNOWN_PRINCIPAL)
        return principal

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Counts what is refused for its certificate."""
        try:
            yield
        except CallError as error:
            self._refused(Port.CLIENT, error.reason)
            raise
