"""Every reason a call can fail for, with its status code, cause and next step: the one source.

The gRPC edge answers from this table, the client library raises by it, and ops/docs/errors.md is
generated from it.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from caretree.model.errors import CaretreeError

ERROR_DOMAIN: Final = "caretree"


class Code(Enum):
    """The gRPC status codes in use, by number."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a reason means to a caller."""

    code: Code
    cause: str
    next_step: str


def _row(code: Code, cause: str, next_step: str) -> Explanation:
    return Explanation(code=code, cause=cause, next_step=next_step)


class Reason(Enum):
    """ErrorInfo reasons; the name is what travels."""

    INVALID_FIELD = _row(
        Code.INVALID_ARGUMENT,
        "A field of the request is missing, malformed or out of bounds; the details name it.",
        "Correct the named field.",
    )
    CONTENT_TOO_LARGE = _row(
        Code.INVALID_ARGUMENT,
        "A record's content exceeds 256 KiB, or a batch its bounds.",
        "Send smaller records, or fewer of them at once.",
    )
    ACTING_PERSON_REQUIRED = _row(
        Code.INVALID_ARGUMENT,
        "A system called without saying for whom it acts.",
        "State the acting person's id and role.",
    )
    NO_DEADLINE = _row(
        Code.INVALID_ARGUMENT,
        "The call carries no deadline.",
        "Set a deadline on every call.",
    )
    BAD_PAGE_TOKEN = _row(
        Code.INVALID_ARGUMENT,
        "The page token was not given out for this request.",
        "Begin again without a token.",
    )
    NO_CERTIFICATE = _row(
        Code.UNAUTHENTICATED,
        "The connection carries no client certificate that this consortium knows.",
        "Use a principal's certificate issued by the member's certificate authority.",
    )
    CERTIFICATE_EXPIRED = _row(
        Code.UNAUTHENTICATED,
        "The client certificate is past its end or before its beginning.",
        "Renew the certificate and connect again.",
    )
    CERTIFICATE_DENIED = _row(
        Code.UNAUTHENTICATED,
        "The client certificate is on this peer's deny list.",
        "Ask the member's operator for a new certificate.",
    )
    WRONG_PORT = _row(
        Code.PERMISSION_DENIED,
        "A peer's certificate on the client port, or a principal's on the peer port.",
        "Use a principal's certificate on the client port.",
    )
    NOT_A_PEER = _row(
        Code.PERMISSION_DENIED,
        "The certificate on the peer port names no other peer of the consortium.",
        "Use the certificate of a peer that the genesis names.",
    )
    WRONG_MEMBER = _row(
        Code.PERMISSION_DENIED,
        "The principal belongs to another member.",
        "Call your own member's peer.",
    )
    UNKNOWN_PRINCIPAL = _row(
        Code.PERMISSION_DENIED,
        "The principal is not listed in this peer's configuration.",
        "Ask the operator to list it.",
    )
    ROLE_NOT_HELD = _row(
        Code.PERMISSION_DENIED,
        "The principal may not act, or state that it acts, in this role.",
        "Act in a role that the operator listed for the principal.",
    )
    ROLE_NOT_PERMITTED = _row(
        Code.PERMISSION_DENIED,
        "The role does not hold this right.",
        "Let a person of a permitted role do it.",
    )
    NOT_OPEN = _row(
        Code.PERMISSION_DENIED,
        "Nothing of this patient is open to the caller, or nothing is known of this patient.",
        "Ask a custodian of the patient's records for a grant.",
    )
    NO_RECORDS = _row(
        Code.FAILED_PRECONDITION,
        "This member holds no record of the patient, so there is nothing to open.",
        "Add a record first, or ask the member that holds records.",
    )
    UNKNOWN_RECORD = _row(
        Code.NOT_FOUND,
        "No such record of this member.",
        "Check the record id.",
    )
    UNKNOWN_GRANT = _row(
        Code.NOT_FOUND,
        "No such live grant by this member.",
        "List the patient's grants.",
    )
    UNKNOWN_ENTRY = _row(
        Code.NOT_FOUND,
        "No entry of this member answers to that id here.",
        "Check the id; an entry just added may take a moment to arrive at this peer.",
    )
    UNKNOWN_METHOD = _row(
        Code.UNIMPLEMENTED,
        "This peer's release serves no such method.",
        "Check the method's name, and which release the peer runs.",
    )
    UNKNOWN_PEER = _row(
        Code.NOT_FOUND,
        "No such voter.",
        "See `caretree status` for the peers.",
    )
    GRANT_INVALID = _row(
        Code.INVALID_ARGUMENT,
        "The grant is to this member itself, to no member, to nobody, or already expired.",
        "Correct grantee, roles or principals, and the time it ends.",
    )
    REQUEST_ID_REUSED = _row(
        Code.ALREADY_EXISTS,
        "The request id was used for other content.",
        "Use a new request id for new content.",
    )
    NOT_CERTIFIED = _row(
        Code.UNAVAILABLE,
        "The entry is committed, but not yet signed by the certification quorum.",
        "Ask again after the delay; the entry is safe.",
    )
    NO_QUORUM = _row(
        Code.UNAVAILABLE,
        "No majority of voters can be reached, so nothing was handed over.",
        "Try again after the delay, with the same request id.",
    )
    OUTCOME_UNKNOWN = _row(
        Code.ABORTED,
        "The entry was handed to a leader that was then lost; it may or may not take effect.",
        "Repeat the call with the same request id; it takes effect at most once.",
    )
    CONTENDED = _row(
        Code.ABORTED,
        "The patient's history or keyring changed again and again while this call was tried.",
        "Try again.",
    )
    OVERLOADED = _row(
        Code.RESOURCE_EXHAUSTED,
        "A queue of this peer or of the leader is full.",
        "Try again after the delay.",
    )
    DEADLINE = _row(
        Code.DEADLINE_EXCEEDED,
        "The deadline passed; nothing was handed over.",
        "Allow more time.",
    )
    STARTING = _row(
        Code.UNAVAILABLE,
        "The peer is starting or stopping.",
        "Try again after the delay.",
    )
    UNFINISHED_TRANSFER = _row(
        Code.UNAVAILABLE,
        "Leadership could not be handed over in time.",
        "See `caretree status`; the voter may be behind. Try again.",
    )
    INTERNAL = _row(
        Code.INTERNAL,
        "A fault of this peer; its log says more.",
        "Tell the operator the time of the call.",
    )

    @property
    def explanation(self) -> Explanation:
        """Code, cause and next step."""
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldViolation:
    """A field of a request, and what was expected of it. Never its value."""

    field: str
    description: str


class CallError(CaretreeError):
    """A call fails for a reason of the table."""

    def __init__(
        self,
        reason: Reason,
        message: str = "",
        *,
        violations: tuple[FieldViolation, ...] = (),
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(message or reason.explanation.cause)
        self.reason = reason
        self.violations = violations
        self.retry_after_ms = retry_after_ms
