"""Admits calls: which principal is on the line, may it call this method, is there room.

Everything is denied that is not allowed: an unlisted principal, a method without a row, a call
without a deadline. The certificate's dates are checked at every call, for a connection may outlive
them.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509

from caretree.config.values import Principal
from caretree.ledger.genesis import Genesis
from caretree.model.ids import MemberId
from caretree.model.reasons import CallError, Reason
from caretree.node.identity import Identity, PeerIdentity, authenticate
from caretree.rpc.permissions import PERMISSIONS, Permission

# Calls of one principal that are answered at once; 64 is what one connection may have open.
CALLS_PER_PRINCIPAL_MAX: Final = 128
BUSY_RETRY_MS: Final = 100
# Who is known by a certificate; a member has at most 1,024 principals.
KNOWN_CERTIFICATES_MAX: Final = 1024
# However long a client would wait, what it waits for is given up by then.
CALL_S_MAX: Final = 60.0
# What the answer needs to reach a client that still waits.
_TRAVEL_S: Final = 0.05

AuthContext = Mapping[str, Iterable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An admitted principal. `deadline` is the loop's time by which its call is to be answered."""

    principal: Principal
    permission: Permission
    deadline: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    identity: Identity
    not_before: datetime
    not_after: datetime


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
        genesis: Genesis,
        member: MemberId,
        principals: Iterable[Principal],
        now: Callable[[], datetime],
        stopping: Callable[[], bool],
    ) -> None:
        self._genesis = genesis
        self._member = member
        self._principals = {principal.name: principal for principal in principals}
        self._now = now
        self._stopping = stopping
        self._known: OrderedDict[tuple[bytes, bytes], _Known] = OrderedDict()
        self._calls: Counter[str] = Counter()

    @contextmanager
    def admit(
        self, method: str, auth: AuthContext, *, loop_time: float, remaining_s: float | None
    ) -> Iterator[Caller]:
        """The caller, for as long as its call is answered.

        Raises:
            CallError: it is not admitted.
        """
        principal = self._principal(auth)
        permission = PERMISSIONS.get(method)
        if permission is None or principal.kind not in permission.kinds:
            raise CallError(Reason.ROLE_NOT_PERMITTED)
        if remaining_s is None and permission.deadline:
            raise CallError(Reason.NO_DEADLINE)
        # Calls with a deadline are our own; those of others' protocols tell that the peer stops.
        if permission.deadline and self._stopping():
            raise CallError(Reason.STARTING)
        if self._calls[principal.name] >= CALLS_PER_PRINCIPAL_MAX:
            raise CallError(Reason.OVERLOADED, retry_after_ms=BUSY_RETRY_MS)
        caller = Caller(
            principal=principal,
            permission=permission,
            deadline=answer_by(loop_time, remaining_s, longest_s=CALL_S_MAX),
        )
        self._calls[principal.name] += 1
        token = _CALLER.set(caller)
        try:
            yield caller
        finally:
            _CALLER.reset(token)
            self._calls[principal.name] -= 1

    def _principal(self, auth: AuthContext) -> Principal:
        identity = self._identity(auth)
        if isinstance(identity, PeerIdentity):
            raise CallError(Reason.WRONG_PORT)
        if identity.member != self._member:
            raise CallError(Reason.WRONG_MEMBER)
        principal = self._principals.get(identity.principal)
        if principal is None:
            raise CallError(Reason.UNKNOWN_PRINCIPAL)
        return principal

    def _identity(self, auth: AuthContext) -> Identity:
        """Whom the connection's certificate names; its signature is checked once, dates always."""
        now = self._now()
        pem = next(iter(auth.get("x509_pem_cert", ())), b"")
        key = (next(iter(auth.get("ssl_tls_version", ())), b""), pem)
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            if not known.not_before <= now <= known.not_after:
                raise CallError(Reason.CERTIFICATE_EXPIRED)
            return known.identity
        identity = authenticate(auth, self._genesis, now=now)
        certificate = x509.load_pem_x509_certificate(pem)
        self._known[key] = _Known(
            identity=identity,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
        )
        if len(self._known) > KNOWN_CERTIFICATES_MAX:
            self._known.popitem(last=False)
        return identity
