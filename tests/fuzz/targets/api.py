"""Requests of client software at the peer, and answers of a peer at the client library."""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Final, TypeVar

from caretree.client import messages as answers
from caretree.client.errors import AnswerError, failed_record
from caretree.client.trust import Trust
from caretree.ledger.certificate import policy_text
from caretree.ledger.values import Position
from caretree.model.errors import MalformedError, VerificationError
from caretree.model.ids import Height, LeafIndex, Place, RecordId, RequestId, TreeSize
from caretree.model.reasons import CallError, FieldViolation, Reason
from caretree.node.calls import ReceiptAnswer
from caretree.proto.api.v1 import access_pb2, operations_pb2, proofs_pb2, records_pb2
from caretree.rpc.access import AccessService
from caretree.rpc.errors import encode_status, grpc_status
from caretree.rpc.guard import _CALLER, current_caller
from caretree.rpc.interceptor import _checked, _decoder
from caretree.rpc.operations import find_voter
from caretree.rpc.page_tokens import PageTokens
from caretree.rpc.proofs import ProofService
from caretree.rpc.records import RecordService
from caretree.rpc.validation import (
    append_command,
    check_batch_bounds,
    grant_command,
    record_command,
    revoke_command,
)
from google.protobuf.message import DecodeError, Message
from typing_extensions import override

from tests.fuzz.target import CANARY, Shape, Target
from tests.fuzz.targets.merkle import text_of
from tests.ledger.builders import TOWN, founders
from tests.ledger.samples import ACTOR, history
from tests.rpc.fake_ledger import FakeLedger
from tests.rpc.fake_peer import FakePeer
from tests.rpc.requests import AUDITING, PERSON, append_request, grant_request, patient
from tests.rpc.test_validation import _caller

MessageT = TypeVar("MessageT", bound=Message)

_GENESIS: Final = founders().genesis
_TOKENS: Final = PageTokens(b"k" * 32)
_RECEIPT: Final = ReceiptAnswer(
    position=Position(height=Height(1), place=Place(0), leaf_index=LeafIndex(2)),
    receipt=b"receipt",
    age_ms=0,
)
_NO_CONTEXT: Final[Any] = None  # the handlers that are run here do not ask it anything


def _driven(answer: Coroutine[Any, Any, object]) -> None:
    """Run a handler that waits for nothing."""
    try:
        answer.send(None)
    except StopIteration:
        return
    raise AssertionError("the handler waits for something")


def _request_target(
    name: str,
    kind: type[MessageT],
    answer: Callable[[MessageT], object],
    *,
    method: str,
    seeds: Callable[[], list[MessageT]],
    covers: Callable[..., object],
) -> Target:
    """A request off the wire, decoded and turned into a command, or refused with a status."""

    def run(data: bytes) -> None:
        request = kind.FromString(data)
        token = _CALLER.set(_caller(method))
        try:
            answer(request)
        except CallError as error:
            _check_refusal(error)
            raise
        finally:
            _CALLER.reset(token)

    return Target(
        name=name,
        run=run,
        errors=(DecodeError, CallError),
        seeds=lambda: [seed.SerializeToString() for seed in seeds()],
        covers=(covers,),
        shape=Shape.PROTO,
    )


def _check_refusal(error: CallError) -> None:
    assert grpc_status(error).details == error.message
    assert all(violation.field and violation.description for violation in error.violations)
    told = " ".join(f"{violation.field} {violation.description}" for violation in error.violations)
    assert CANARY.decode() not in told.lower(), "a violation repeats what was in the request"


def _run_batch(batch: records_pb2.AppendStreamRequest) -> None:
    check_batch_bounds(batch)
    for place, record in enumerate(batch.records):
        append_command(
            record, _caller("RecordService/AppendStream"), _GENESIS, path=f"records[{place}]."
        )


def _run_page_token(data: bytes) -> None:
    pages = _TOKENS.of("history", ACTOR, None)
    cursor = pages.after(text_of(data))
    assert pages.after(pages.token_after(cursor)) == cursor


def _run_interceptor(data: bytes) -> None:
    decode = _decoder(records_pb2.AppendRequest.FromString)
    assert decode is not None
    _checked(decode(data))


def _run_failed_record(data: bytes) -> None:
    error = failed_record(data)
    assert error.code
    assert error.retry_after_ms is None or error.retry_after_ms >= 0


def _answer_target(
    name: str, kind: type[MessageT], read: Callable[[MessageT], object], seed: MessageT
) -> Target:
    """A part of an answer, as the client library turns it into a value."""
    return Target(
        name=name,
        run=lambda data: read(kind.FromString(data)),
        errors=(DecodeError, AnswerError),
        seeds=lambda: [seed.SerializeToString()],
        covers=(read, answers.read_id),
        shape=Shape.PROTO,
    )


def _run_checkpoint(data: bytes) -> None:
    trust = Trust(policy_text=policy_text(_GENESIS), origin=_GENESIS.origin)
    assert trust.checkpoint(data).origin == _GENESIS.origin


class _AnsweringPeer(FakePeer):
    """A peer that has an answer to whatever passes the door."""

    @override
    def receipt_of_record(self, record_id: RecordId) -> ReceiptAnswer:
        return _RECEIPT

    @override
    def receipt_of_request(self, request_id: RequestId) -> ReceiptAnswer:
        return _RECEIPT

    @override
    def receipt_of_leaf(self, leaf_index: LeafIndex) -> ReceiptAnswer:
        return _RECEIPT

    @override
    def consistency_proof(
        self, first: TreeSize, second: TreeSize | None
    ) -> tuple[Sequence[bytes], TreeSize]:
        return (), first if second is None else second


_PEER: Final = _AnsweringPeer(ledger=FakeLedger(founders()))
_RECORDS, _ACCESS, _PROOFS = (
    RecordService(_PEER, _TOKENS),
    AccessService(_PEER, _TOKENS),
    ProofService(_PEER),
)


def _append_seeds() -> list[records_pb2.AppendRequest]:
    replacing = append_request()
    replacing.replaces.record_id = bytes(16)
    replacing.replaces.reason = records_pb2.REPLACEMENT_REASON_CORRECTED
    sourced = append_request()
    sourced.ClearField("request_id")
    sourced.source.CopyFrom(records_pb2.Source(system="urn:example:his", id="V-1", part=1))
    return [append_request(), replacing, sourced]


def _page_tokens() -> Iterator[bytes]:
    pages = _TOKENS.of("history", ACTOR, None)
    for before in (None, 0, 77, 2**64 - 1):
        yield pages.token_before(before).encode()


def _failures() -> Iterator[bytes]:
    for reason in (Reason.INVALID_FIELD, Reason.OVERLOADED):
        error = CallError(
            reason,
            violations=(FieldViolation(field="content", description="expected something"),),
            retry_after_ms=100,
        )
        yield encode_status(error)


TARGETS: Final = (
    _request_target(
        "append-request",
        records_pb2.AppendRequest,
        lambda request: append_command(request, current_caller(), _GENESIS),
        method="RecordService/Append",
        seeds=_append_seeds,
        covers=append_command,
    ),
    _request_target(
        "append-batch",
        records_pb2.AppendStreamRequest,
        _run_batch,
        method="RecordService/AppendStream",
        seeds=lambda: [records_pb2.AppendStreamRequest(batch_number=1, records=_append_seeds())],
        covers=check_batch_bounds,
    ),
    _request_target(
        "get-record-request",
        records_pb2.GetRecordRequest,
        lambda request: record_command(request, current_caller()),
        method="RecordService/GetRecord",
        seeds=lambda: [records_pb2.GetRecordRequest(record_id=bytes(16), acting_person=PERSON)],
        covers=record_command,
    ),
    _request_target(
        "list-history-request",
        records_pb2.ListHistoryRequest,
        lambda request: _RECORDS._history_command(request, current_caller()),
        method="RecordService/ListHistory",
        seeds=lambda: [
            records_pb2.ListHistoryRequest(patient=patient(), acting_person=PERSON, page_size=7)
        ],
        covers=RecordService,
    ),
    _request_target(
        "create-grant-request",
        access_pb2.CreateGrantRequest,
        lambda request: grant_command(request, current_caller(), _GENESIS),
        method="AccessService/CreateGrant",
        seeds=lambda: [grant_request()],
        covers=grant_command,
    ),
    _request_target(
        "revoke-grant-request",
        access_pb2.RevokeGrantRequest,
        lambda request: revoke_command(request, current_caller(), _GENESIS),
        method="AccessService/RevokeGrant",
        seeds=lambda: [
            access_pb2.RevokeGrantRequest(
                patient=patient(), request_id=bytes(16), acting_person=PERSON, **named
            )
            for named in ({"grant_id": bytes(16)}, {"grantee": "hospital"})
        ],
        covers=revoke_command,
    ),
    _request_target(
        "list-grants-request",
        access_pb2.ListGrantsRequest,
        lambda request: _driven(_ACCESS.ListGrants(request, _NO_CONTEXT)),
        method="AccessService/ListGrants",
        seeds=lambda: [access_pb2.ListGrantsRequest(patient=patient(), acting_person=PERSON)],
        covers=AccessService,
    ),
    _request_target(
        "list-trail-request",
        access_pb2.ListTrailRequest,
        lambda request: _driven(_ACCESS.ListTrail(request, _NO_CONTEXT)),
        method="AccessService/ListTrail",
        seeds=lambda: [access_pb2.ListTrailRequest(acting_person=AUDITING, page_size=3)],
        covers=AccessService,
    ),
    _request_target(
        "get-receipt-request",
        proofs_pb2.GetReceiptRequest,
        lambda request: _driven(_PROOFS.GetReceipt(request, _NO_CONTEXT)),
        method="ProofService/GetReceipt",
        seeds=lambda: [
            proofs_pb2.GetReceiptRequest(leaf_index=0),
            proofs_pb2.GetReceiptRequest(record_id=bytes(16)),
            proofs_pb2.GetReceiptRequest(request_id=bytes(16)),
        ],
        covers=ProofService,
    ),
    _request_target(
        "consistency-request",
        proofs_pb2.GetConsistencyProofRequest,
        lambda request: _driven(_PROOFS.GetConsistencyProof(request, _NO_CONTEXT)),
        method="ProofService/GetConsistencyProof",
        seeds=lambda: [proofs_pb2.GetConsistencyProofRequest(first_size=1, second_size=2)],
        covers=ProofService,
    ),
    _request_target(
        "transfer-request",
        operations_pb2.TransferLeadershipRequest,
        lambda request: find_voter(_GENESIS, request.to),
        method="OperationService/TransferLeadership",
        seeds=lambda: [operations_pb2.TransferLeadershipRequest(to=TOWN)],
        covers=find_voter,
    ),
    Target(
        name="undecoded-request",
        run=_run_interceptor,
        errors=(CallError,),
        seeds=lambda: [append_request().SerializeToString()],
        covers=(_decoder,),
        shape=Shape.PROTO,
    ),
    Target(
        name="page-token",
        run=_run_page_token,
        errors=(CallError,),
        seeds=_page_tokens,
        covers=(PageTokens,),
        shape=Shape.TEXT,
    ),
    Target(
        name="failed-record",
        run=_run_failed_record,
        errors=(AnswerError,),
        seeds=_failures,
        covers=(failed_record,),
        shape=Shape.PROTO,
    ),
    _answer_target(
        "answered-record",
        records_pb2.HistoryRecord,
        answers.read_record,
        records_pb2.HistoryRecord(
            record_id=bytes(16), custodian="town", replaced_by=bytes(16), content=b"content"
        ),
    ),
    _answer_target(
        "answered-grant",
        access_pb2.GrantDescription,
        answers.read_grant,
        access_pb2.GrantDescription(
            grant_id=bytes(16),
            grantee="hospital",
            roles=[records_pb2.PERSON_ROLE_NURSE],
            purpose=records_pb2.ACCESS_PURPOSE_TREATMENT,
            principals=["ward-3"],
        ),
    ),
    _answer_target(
        "answered-event",
        access_pb2.TrailEvent,
        answers.read_event,
        access_pb2.TrailEvent(kind=access_pb2.TRAIL_KIND_GRANT, member="town", grant_id=bytes(16)),
    ),
    _answer_target(
        "answered-status",
        operations_pb2.GetStatusResponse,
        answers.read_peer_status,
        operations_pb2.GetStatusResponse(
            origin=_GENESIS.origin, peers=[operations_pb2.PeerStatus(member="town", voter=True)]
        ),
    ),
    Target(
        name="answered-checkpoint",
        run=_run_checkpoint,
        errors=(MalformedError, VerificationError),
        seeds=lambda: [history().note()],
        covers=(Trust.checkpoint,),
        shape=Shape.TEXT,
        may_show=(VerificationError,),
    ),
)
