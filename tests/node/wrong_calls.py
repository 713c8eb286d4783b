"""Calls made wrongly in every way that could tempt a daemon to repeat what it was given."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final

import grpc
from caretree.crypto.resident_number import RESIDENT_NUMBER_SYSTEM
from caretree.model.limits import CONTENT_BYTES_MAX
from caretree.model.reasons import Reason
from caretree.proto.api.v1 import (
    access_pb2,
    access_pb2_grpc,
    operations_pb2,
    operations_pb2_grpc,
    records_pb2,
    records_pb2_grpc,
)

from tests.node.canary_facts import (
    CARD,
    CARD_SYSTEM,
    CHINESE,
    ENGLISH,
    NUMBER,
    PERSON,
    WRONG_NUMBER,
)

CALL_S: Final = 20.0
UNTIL_MS: Final = 2**45

Call = Callable[[], Awaitable[object]]


async def refused(call: Call) -> bytes:
    """All that a call was answered, which must be a refusal."""
    try:
        answer = await call()
    except grpc.aio.AioRpcError as error:
        trailing = error.trailing_metadata() or ()
        details = [value if isinstance(value, bytes) else value.encode() for _, value in trailing]
        return b"\n".join((str(error).encode(), (error.details() or "").encode(), *details))
    raise AssertionError(f"expected a refusal, found {type(answer).__name__}")


def reasons_of(refusals: Mapping[str, bytes]) -> frozenset[Reason]:
    """The reasons that stand in the answers."""
    everything = b"\n".join(refusals.values())
    return frozenset(reason for reason in Reason if reason.name.encode() in everything)


def wrong_appends(channel: grpc.aio.Channel) -> Iterator[tuple[str, Call]]:
    """Appends with every field wrong in turn, secrets in the wrong fields too."""
    records = records_pb2_grpc.RecordServiceStub(channel)
    for name, request in _wrong_records().items():
        yield f"append: {name}", _calling(records.Append, request)
    yield "no such method", _calling(_method(channel, f"{CARD}/{CARD}"), _append_request())
    yield "no message", _calling(_method(channel, "Append"), ENGLISH.encode())


def wrong_grants(channel: grpc.aio.Channel) -> Iterator[tuple[str, Call]]:
    """Grants with every field wrong in turn."""
    access = access_pb2_grpc.AccessServiceStub(channel)
    wrong = {
        "a card as grantee": access_pb2.CreateGrantRequest(grantee=CARD),
        "a card as principal": access_pb2.CreateGrantRequest(principals=[CARD]),
        "a card as request id": access_pb2.CreateGrantRequest(request_id=CARD.encode()),
        "an unknown patient": access_pb2.CreateGrantRequest(patient=_patient(f"{CARD}-X")),
    }
    for name, change in wrong.items():
        request = access_pb2.CreateGrantRequest(
            patient=_patient(CARD),
            grantee="office",
            roles=[records_pb2.PERSON_ROLE_PHYSICIAN],
            until_ms=UNTIL_MS,
            request_id=b"\xfe" * 16,
            acting_person=_person(),
        )
        request.MergeFrom(change)
        yield f"grant: {name}", _calling(access.CreateGrant, request)


def wrong_readings(channel: grpc.aio.Channel) -> Iterator[tuple[str, Call]]:
    """Readings of what is closed, unknown, or no id at all."""
    records = records_pb2_grpc.RecordServiceStub(channel)
    histories = {
        "closed": records_pb2.ListHistoryRequest(),
        "a card as page token": records_pb2.ListHistoryRequest(page_token=CARD),
        "a page too large": records_pb2.ListHistoryRequest(page_size=2**30),
    }
    for name, history in histories.items():
        history.patient.MergeFrom(_patient(CARD))
        yield f"history: {name}", _listing(records, history)
    for name, record_id in {"no id": ENGLISH.encode(), "unknown": CARD.encode()[:16]}.items():
        request = records_pb2.GetRecordRequest(record_id=record_id)
        yield f"record: {name}", _calling(records.GetRecord, request)
    named = records_pb2.GetRecordRequest(
        record_id=bytes(16), acting_person=records_pb2.ActingPerson(id=PERSON)
    )
    yield "record: a person for a person", _calling(records.GetRecord, named)


def wrong_orders(channel: grpc.aio.Channel) -> Iterator[tuple[str, Call]]:
    """What an operator may not do, or not so."""
    operations = operations_pb2_grpc.OperationServiceStub(channel)
    records = records_pb2_grpc.RecordServiceStub(channel)
    to = operations_pb2.TransferLeadershipRequest(to=CARD)
    yield "transfer: to a card", _calling(operations.TransferLeadership, to)
    yield "append: by an operator", _calling(records.Append, _append_request())


def _wrong_records() -> dict[str, records_pb2.AppendRequest]:
    large = CHINESE.encode() * (CONTENT_BYTES_MAX // len(CHINESE.encode()) + 1)
    unknown = records_pb2.Replacement(
        record_id=CARD.encode()[:16], reason=records_pb2.REPLACEMENT_REASON_CORRECTED
    )
    changes = {
        "a wrong check digit": _append(patient=_patient(WRONG_NUMBER, RESIDENT_NUMBER_SYSTEM)),
        "another system": _append(patient=_patient(CARD, f"urn:{CARD}")),
        "a card too long": _append(patient=_patient(CARD * 20)),
        "a card with a control character": _append(patient=_patient(f"{CARD}\x07")),
        "a content too large": _append(content=large),
        "a complaint as media type": _append(media_type=CHINESE),
        "a card as request id": _append(request_id=CARD.encode()),
        "a used request id": _append(request_id=bytes(16)),
        "a source beside it": _append(source=records_pb2.Source(system=CARD_SYSTEM, id=CARD)),
        "a long source": _append(source=records_pb2.Source(system=CHINESE * 30, id=CARD * 20)),
        "a replaced card": _append(replaces=records_pb2.Replacement(record_id=CARD.encode())),
        "an unknown record replaced": _append(replaces=unknown),
        "a person too long": _append(acting_person=_person(PERSON * 20)),
        "a complaint as person": _append(acting_person=_person(CHINESE)),
        "an auditor": _append(acting_person=_person(PERSON, role=records_pb2.PERSON_ROLE_AUDITOR)),
    }
    found = {"no card": _append_request()}
    found["no card"].patient.value = ""
    for name, change in changes.items():
        found[name] = _append_request()
        found[name].MergeFrom(change)
    return found


_append = records_pb2.AppendRequest


def _append_request() -> records_pb2.AppendRequest:
    return records_pb2.AppendRequest(
        patient=_patient(NUMBER, RESIDENT_NUMBER_SYSTEM),
        content=ENGLISH.encode(),
        media_type="text/plain",
        request_id=b"\xff" * 16,
        acting_person=_person(),
    )


def _patient(value: str, system: str = CARD_SYSTEM) -> records_pb2.PatientIdentifier:
    return records_pb2.PatientIdentifier(system=system, value=value)


def _person(
    text: str = PERSON,
    *,
    role: records_pb2.PersonRole.ValueType = records_pb2.PERSON_ROLE_PHYSICIAN,
) -> records_pb2.ActingPerson:
    return records_pb2.ActingPerson(id=text, role=role)


def _calling(method: Callable[..., Awaitable[object]], request: object) -> Call:
    async def call() -> object:
        return await method(request, timeout=CALL_S, metadata=(("x-patient", NUMBER),))

    return call


def _listing(
    records: records_pb2_grpc.RecordServiceStub, request: records_pb2.ListHistoryRequest
) -> Call:
    async def call() -> object:
        return [each async for each in records.ListHistory(request, timeout=CALL_S)]

    return call


def _method(channel: grpc.aio.Channel, name: str) -> Callable[..., Awaitable[object]]:
    """A method by name, which takes a request or any bytes in its place."""

    def encoded(request: records_pb2.AppendRequest | bytes) -> bytes:
        return request if isinstance(request, bytes) else request.SerializeToString()

    path = f"/caretree.api.v1.RecordService/{name}"
    return channel.unary_unary(path, request_serializer=encoded)
