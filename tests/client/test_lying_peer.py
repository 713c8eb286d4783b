"""A peer that lies is found out: nothing that it hands out is taken without its proof."""

import base64
import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from caretree.client import (
    AnswerError,
    CallFailedError,
    CaretreeClient,
    InconsistentLogError,
    ReceiptError,
)
from caretree.crypto.ed25519 import SigningKey
from caretree.ledger.certificate import certification_policy
from caretree.ledger.values import Role
from caretree.merkle.policy import Log
from caretree.merkle.policy_text import format_policy
from caretree.model.errors import VerificationError
from caretree.model.ids import Height, LeafIndex, RequestId, TimeMs
from caretree.model.reasons import Reason
from caretree.node.calls import EntryAnswer, ReceiptAnswer
from caretree.proto.api.v1 import records_pb2

from tests.client.connecting import PATIENT, PHYSICIAN, connected, new_record, settings_for
from tests.ledger.builders import HOSPITAL, TOWN
from tests.rpc.fake_ledger import FakeLedger
from tests.rpc.fake_peer import FakePeer
from tests.rpc.serving import free_address, serving, trusted

pytestmark = pytest.mark.asyncio

REQUEST_ID = RequestId(b"q" * 16)
Forge = Callable[[FakeLedger, EntryAnswer], EntryAnswer]


def _with_receipt(entry: EntryAnswer, receipt: bytes) -> EntryAnswer:
    return dataclasses.replace(entry, receipt=receipt)


def _with_index(entry: EntryAnswer, index: int) -> EntryAnswer:
    position = dataclasses.replace(entry.position, leaf_index=LeafIndex(index))
    return dataclasses.replace(entry, position=position)


def _changed(receipt: bytes) -> bytes:
    """The receipt with one bit of its last signature flipped."""
    lines = receipt.decode().splitlines()
    head, _, encoded = lines[-1].rpartition(" ")
    signature = bytearray(base64.b64decode(encoded))
    signature[-1] ^= 1
    return "\n".join([*lines[:-1], f"{head} {base64.b64encode(signature).decode()}", ""]).encode()


def _without_cosignatures(receipt: bytes) -> bytes:
    """The receipt with its first signature alone."""
    lines = receipt.decode().splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("\u2014"))
    return "\n".join([*lines[: first + 1], ""]).encode()


FORGERIES: dict[str, Forge] = {
    "nothing": lambda _, entry: _with_receipt(entry, b""),
    "junk": lambda _, entry: _with_receipt(entry, b"junk"),
    "a changed signature": lambda _, entry: _with_receipt(entry, _changed(entry.receipt)),
    "too few signatures": lambda _, entry: _with_receipt(
        entry, _without_cosignatures(entry.receipt)
    ),
    "another record's receipt": lambda ledger, entry: _with_receipt(entry, ledger.receipt(2)),
    "another record's place and receipt": lambda ledger, entry: _with_receipt(
        _with_index(entry, 2), ledger.receipt(2)
    ),
    "another place": lambda _, entry: _with_index(entry, 2),
    "the genesis' receipt": lambda ledger, entry: _with_receipt(entry, ledger.receipt(0)),
    "another height": lambda _, entry: dataclasses.replace(
        entry, position=dataclasses.replace(entry.position, height=Height(9))
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_record_with_a_receipt_that_does_not_prove_it_is_refused(forgery: str) -> None:
    async with connected() as (client, server):
        await client.append(new_record(1))
        ledger = server.peer.ledger
        server.peer.forge_entry = lambda entry: FORGERIES[forgery](ledger, entry)
        with pytest.raises(ReceiptError):
            await client.append(new_record(2))


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_grant_with_a_receipt_that_does_not_prove_it_is_refused(forgery: str) -> None:
    async with connected() as (client, server):
        await client.append(new_record(1))
        ledger = server.peer.ledger
        server.peer.forge_entry = lambda entry: FORGERIES[forgery](ledger, entry)
        with pytest.raises(ReceiptError):
            await client.create_grant(
                PATIENT,
                HOSPITAL,
                roles=[Role.PHYSICIAN],
                until_ms=TimeMs(2_000_000_000_000),
                acting=PHYSICIAN,
            )


async def test_a_fetched_receipt_of_another_entry_is_refused() -> None:
    async with connected() as (client, server):
        record = dataclasses.replace(new_record(1), request_id=REQUEST_ID)
        first = await client.append(record)
        second = await client.append(new_record(2))
        place = second.entry.position

        def swap(answer: ReceiptAnswer) -> ReceiptAnswer:
            other = server.peer.ledger.receipt(place.leaf_index)
            return dataclasses.replace(answer, receipt=other, position=place)

        server.peer.forge_receipt = swap
        with pytest.raises(ReceiptError):
            await client.receipt(record_id=first.record_id)
        with pytest.raises(ReceiptError):
            await client.receipt(request_id=REQUEST_ID)
        with pytest.raises(ReceiptError):
            await client.receipt(leaf_index=first.entry.position.leaf_index)
        fetched = await client.receipt(record_id=second.record_id)

    assert fetched.receipt.record_id == second.record_id


async def test_a_checkpoint_that_the_quorum_did_not_sign_is_refused() -> None:
    async with connected() as (client, server):
        server.peer.forge_note = _changed
        with pytest.raises(VerificationError):
            await client.checkpoint()


async def test_two_certified_trees_of_one_size_are_found_out() -> None:
    fork = FakePeer(ledger=FakeLedger(trusted().consortium))
    async with connected() as (client, server), connected(fork) as (other, _):
        await client.append(new_record(1))
        await other.append(new_record(2))
        server.peer.forge_note = lambda _note: fork.ledger.note()
        with pytest.raises(InconsistentLogError):
            await client.checkpoint()


async def test_a_later_tree_that_does_not_extend_an_earlier_one_is_found_out() -> None:
    fork = FakePeer(ledger=FakeLedger(trusted().consortium))
    async with connected() as (client, server), connected(fork) as (other, _):
        await client.append(new_record(1))
        for number in range(2, 5):
            await other.append(new_record(number))
        server.peer.ledger = fork.ledger
        with pytest.raises(InconsistentLogError):
            await client.checkpoint()


async def test_appending_alone_finds_out_a_log_that_does_not_extend_itself() -> None:
    fork = FakePeer(ledger=FakeLedger(trusted().consortium))
    async with connected() as (client, server), connected(fork) as (other, _):
        await client.append(new_record(1))
        for number in range(2, 5):
            await other.append(new_record(number))
        server.peer.ledger = fork.ledger
        with pytest.raises(InconsistentLogError):
            await client.append(new_record(9))


async def test_a_wrong_consistency_proof_is_refused() -> None:
    def spoilt(proof: Sequence[bytes]) -> Sequence[bytes]:
        return [bytes(32), *proof[1:]]

    async with connected() as (client, server):
        await client.checkpoint()
        await client.append(new_record(1))
        server.peer.forge_proof = spoilt
        await client.append(new_record(2))
        with pytest.raises(InconsistentLogError):
            await client.checkpoint()


async def test_a_receipt_of_another_log_is_refused() -> None:
    mine = certification_policy(trusted().consortium.genesis)
    other = mine.logs[0].key.name[:-8] + "00000000"
    public_key = SigningKey.from_seed(bytes(32)).public_key
    key = dataclasses.replace(mine.logs[0].key, name=other, public_key=public_key)
    both = dataclasses.replace(mine, logs=(*mine.logs, Log(key=key, url=None)))
    async with serving() as server:
        settings = dataclasses.replace(
            settings_for(server.address), policy_text=format_policy(both).decode(), origin=other
        )
        async with CaretreeClient.connect(settings) as client:
            with pytest.raises(ReceiptError, match="is of"):
                await client.append(new_record(1))
            with pytest.raises(VerificationError):
                await client.checkpoint()


@dataclasses.dataclass(slots=True)
class _Babbler:
    """Answers what it is told to, whatever it is asked."""

    answers: list[records_pb2.AppendStreamResponse]
    page: list[records_pb2.ListHistoryResponse] = dataclasses.field(default_factory=list)

    async def append_stream(
        self, requests: AsyncIterator[bytes], _context: object
    ) -> AsyncIterator[bytes]:
        await anext(requests)
        for answer in self.answers:
            yield answer.SerializeToString()

    async def list_history(self, _request: bytes, _context: object) -> AsyncIterator[bytes]:
        for part in self.page:
            yield part.SerializeToString()

    def handlers(self) -> grpc.GenericRpcHandler:
        methods: dict[str, Any] = {
            "AppendStream": grpc.stream_stream_rpc_method_handler(self.append_stream),
            "ListHistory": grpc.unary_stream_rpc_method_handler(self.list_history),
        }
        return grpc.method_handlers_generic_handler("caretree.api.v1.RecordService", methods)


@asynccontextmanager
async def _babbling(babbler: _Babbler) -> AsyncIterator[CaretreeClient]:
    address = free_address()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((babbler.handlers(),))
    pair = trusted().server
    credentials = grpc.ssl_server_credentials(
        [(pair.key, pair.certificate)], trusted().authorities[TOWN].pem, True
    )
    server.add_secure_port(address, credentials)
    await server.start()
    try:
        async with CaretreeClient.connect(settings_for(address)) as client:
            yield client
    finally:
        await server.stop(grace=None)


def _answer(number: int, *results: records_pb2.AppendResult) -> records_pb2.AppendStreamResponse:
    return records_pb2.AppendStreamResponse(batch_number=number, results=results)


_ADDED = records_pb2.AppendResult(added=records_pb2.AppendResponse(record_id=bytes(16)))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (_answer(2, _ADDED), Reason.INTERNAL),
        (_answer(1), Reason.INTERNAL),
        (_answer(1, _ADDED, _ADDED), Reason.INTERNAL),
    ],
    ids=["another batch", "no result", "a result too many"],
)
async def test_an_answer_to_another_batch_is_no_answer(
    answer: records_pb2.AppendStreamResponse, reason: Reason
) -> None:
    async with _babbling(_Babbler([answer])) as client:
        with pytest.raises(CallFailedError) as caught:
            await client.append(dataclasses.replace(new_record(), request_id=REQUEST_ID))

    assert caught.value.reason is reason
    # It was handed over, so it may take effect: by this id the same call can be repeated.
    assert caught.value.request_id == REQUEST_ID


@pytest.mark.parametrize(
    "result",
    [
        _ADDED,
        records_pb2.AppendResult(error_status=b"\xff"),
        records_pb2.AppendResult(
            added=records_pb2.AppendResponse(
                record_id=b"short", status=records_pb2.ENTRY_STATUS_CERTIFIED
            )
        ),
        records_pb2.AppendResult(
            added=records_pb2.AppendResponse(
                record_id=bytes(16), status=records_pb2.ENTRY_STATUS_COMMITTED, receipt=b"early"
            )
        ),
    ],
    ids=["no status", "no error", "no id", "a receipt too early"],
)
async def test_a_malformed_answer_is_refused(result: records_pb2.AppendResult) -> None:
    async with _babbling(_Babbler([_answer(1, result)])) as client:
        with pytest.raises(AnswerError):
            await client.append(new_record())


async def test_a_history_that_is_not_as_long_as_it_says_is_refused() -> None:
    record = records_pb2.HistoryRecord(custodian="town", closed=True)
    page = records_pb2.ListHistoryResponse(page=records_pb2.HistoryPage(record_count=2))
    part = records_pb2.ListHistoryResponse(records=[record])
    both = records_pb2.ListHistoryResponse(page=page.page, records=[record, record])
    babbler = _Babbler([])
    async with _babbling(babbler) as client:
        for parts in (
            [],
            [part],
            [page, part],
            [page, part, part, part],
            [part, page, part],
            [page, part, page, part],
            [both],
        ):
            babbler.page = parts
            with pytest.raises(AnswerError):
                await anext(client.history(PATIENT, acting=PHYSICIAN))
        together = records_pb2.ListHistoryResponse(records=[record, record])
        for parts in ([page, part, part], [page, together]):
            babbler.page = parts
            read = await anext(client.history(PATIENT, acting=PHYSICIAN))
            assert len(read.records) == 2
