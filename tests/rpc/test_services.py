"""Grants, the trail, proofs and operations over the wire."""

import grpc
import pytest
from caretree.merkle.shape import TREE_SIZE_MAX
from caretree.model.ids import show_peer_id
from caretree.proto.api.v1 import access_pb2, operations_pb2, proofs_pb2
from caretree.proto.api.v1.access_pb2_grpc import AccessServiceStub
from caretree.proto.api.v1.operations_pb2_grpc import OperationServiceStub
from caretree.proto.api.v1.proofs_pb2_grpc import ProofServiceStub
from caretree.proto.api.v1.records_pb2_grpc import RecordServiceStub

from tests.ledger.builders import HOSPITAL, TOWN
from tests.rpc.requests import (
    AUDITING,
    PERSON,
    TIMEOUT_S,
    append_request,
    grant_request,
    patient,
    refusal_of,
)
from tests.rpc.serving import AUDITOR, OPERATOR, SYSTEM, serving, trusted

pytestmark = pytest.mark.asyncio


async def test_a_grant_is_given_listed_and_taken_back() -> None:
    listing = access_pb2.ListGrantsRequest(patient=patient(), acting_person=PERSON)
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        stub = AccessServiceStub(channel)
        given = await stub.CreateGrant(grant_request(), timeout=TIMEOUT_S)
        (listed,) = (await stub.ListGrants(listing, timeout=TIMEOUT_S)).grants
        revoke = access_pb2.RevokeGrantRequest(
            patient=patient(), grantee="hospital", request_id=bytes(16), acting_person=PERSON
        )
        (revoked,) = (await stub.RevokeGrant(revoke, timeout=TIMEOUT_S)).revoked
        (after,) = (await stub.ListGrants(listing, timeout=TIMEOUT_S)).grants
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.RevokeGrant(revoke, timeout=TIMEOUT_S)

    assert listed.grant_id == given.grant_id == revoked.grant_id
    assert listed.custodian == TOWN
    assert listed.grantee == HOSPITAL
    assert list(listed.roles) == list(grant_request().roles)
    assert listed.until_ms == grant_request().until_ms
    assert listed.revoked_ms == 0
    assert after.revoked_ms > 0
    assert given.receipt
    assert revoked.receipt
    assert refusal_of(caught.value).reason == "UNKNOWN_GRANT"


async def test_grants_are_listed_page_by_page() -> None:
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        stub = AccessServiceStub(channel)
        given = [
            (await stub.CreateGrant(grant_request(number), timeout=TIMEOUT_S)).grant_id
            for number in range(5)
        ]
        listed: list[bytes] = []
        request = access_pb2.ListGrantsRequest(patient=patient(), acting_person=PERSON, page_size=2)
        sizes: list[int] = []
        while not sizes or request.page_token:
            page = await stub.ListGrants(request, timeout=TIMEOUT_S)
            sizes.append(len(page.grants))
            listed += [grant.grant_id for grant in page.grants]
            request.page_token = page.next_page_token

    assert sizes == [2, 2, 1]
    assert listed == given


async def test_the_trail_is_for_auditors_page_by_page() -> None:
    async with (
        serving() as server,
        server.as_principal(SYSTEM) as system,
        server.as_principal(AUDITOR) as auditor,
    ):
        physician = access_pb2.ListTrailRequest(acting_person=PERSON)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await AccessServiceStub(system).ListTrail(physician, timeout=TIMEOUT_S)
        page = await AccessServiceStub(auditor).ListTrail(
            access_pb2.ListTrailRequest(page_size=1), timeout=TIMEOUT_S
        )
        rest = await AccessServiceStub(auditor).ListTrail(
            access_pb2.ListTrailRequest(page_token=page.next_page_token), timeout=TIMEOUT_S
        )
        for_one = access_pb2.ListTrailRequest(
            patient=patient(), acting_person=AUDITING, page_token=page.next_page_token
        )
        with pytest.raises(grpc.aio.AioRpcError) as other:
            await AccessServiceStub(system).ListTrail(for_one, timeout=TIMEOUT_S)

    assert refusal_of(caught.value).reason == "ROLE_NOT_PERMITTED"
    assert page.events[0].kind == access_pb2.TRAIL_KIND_GRANT
    assert rest.events[-1].kind == access_pb2.TRAIL_KIND_GENESIS
    assert rest.next_page_token == ""
    assert refusal_of(other.value).reason == "BAD_PAGE_TOKEN"


async def test_a_receipt_is_found_by_record_request_and_leaf() -> None:
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        added = await RecordServiceStub(channel).Append(append_request(5), timeout=TIMEOUT_S)
        stub = ProofServiceStub(channel)
        found = [
            await stub.GetReceipt(request, timeout=TIMEOUT_S)
            for request in (
                proofs_pb2.GetReceiptRequest(record_id=added.record_id),
                proofs_pb2.GetReceiptRequest(request_id=append_request(5).request_id),
                proofs_pb2.GetReceiptRequest(leaf_index=added.position.leaf_index),
            )
        ]

    assert [answer.receipt for answer in found] == [added.receipt] * 3
    assert [answer.position for answer in found] == [added.position] * 3
    assert found[0].age_ms == 5


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (proofs_pb2.GetReceiptRequest(), "INVALID_FIELD"),
        (proofs_pb2.GetReceiptRequest(record_id=b"short"), "INVALID_FIELD"),
        (proofs_pb2.GetReceiptRequest(request_id=b"short"), "INVALID_FIELD"),
        (proofs_pb2.GetReceiptRequest(record_id=bytes(16)), "UNKNOWN_ENTRY"),
        (proofs_pb2.GetReceiptRequest(leaf_index=999), "UNKNOWN_ENTRY"),
        (proofs_pb2.GetReceiptRequest(leaf_index=2**64 - 1), "UNKNOWN_ENTRY"),
    ],
    ids=["nothing", "short record", "short request", "no record", "no leaf", "no such tree"],
)
async def test_a_receipt_that_is_not_there_is_told_so(
    request_: proofs_pb2.GetReceiptRequest, reason: str
) -> None:
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ProofServiceStub(channel).GetReceipt(request_, timeout=TIMEOUT_S)

    assert refusal_of(caught.value).reason == reason


async def test_an_operator_checks_the_books_and_sees_no_receipt() -> None:
    async with serving() as server, server.as_principal(OPERATOR) as channel:
        stub = ProofServiceStub(channel)
        checkpoint = await stub.GetCheckpoint(proofs_pb2.GetCheckpointRequest(), timeout=TIMEOUT_S)
        proof = await stub.GetConsistencyProof(
            proofs_pb2.GetConsistencyProofRequest(first_size=1), timeout=TIMEOUT_S
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetReceipt(proofs_pb2.GetReceiptRequest(leaf_index=0), timeout=TIMEOUT_S)

    assert checkpoint.checkpoint == server.peer.ledger.note()
    assert checkpoint.age_ms == 7
    assert (proof.first_size, proof.second_size) == (1, server.peer.ledger.size)
    assert refusal_of(caught.value).reason == "ROLE_NOT_PERMITTED"


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [
        (0, 0, "first_size"),
        (TREE_SIZE_MAX + 1, 0, "first_size"),
        (2, 1, "second_size"),
        (1, TREE_SIZE_MAX + 1, "second_size"),
    ],
)
async def test_the_sizes_of_a_consistency_proof_are_those_of_trees(
    first: int, second: int, field: str
) -> None:
    request = proofs_pb2.GetConsistencyProofRequest(first_size=first, second_size=second)
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ProofServiceStub(channel).GetConsistencyProof(request, timeout=TIMEOUT_S)

    assert refusal_of(caught.value).fields == (field,)


async def test_a_status_says_who_leads_and_what_runs() -> None:
    async with serving() as server, server.as_principal(OPERATOR) as channel:
        status = await OperationServiceStub(channel).GetStatus(
            operations_pb2.GetStatusRequest(), timeout=TIMEOUT_S
        )

    own = show_peer_id(trusted().consortium[TOWN].peer.peer)
    assert status.origin == trusted().consortium.origin
    assert status.peer == status.leader == own
    assert status.raft_role == "leader"
    assert status.version == "0.1.0"
    assert status.certification_quorum == 2
    assert [peer.peer for peer in status.peers] == [own]


@pytest.mark.parametrize("by", ["nobody", "member", "peer"])
async def test_leadership_goes_where_the_operator_says(by: str) -> None:
    hospital = trusted().consortium[HOSPITAL].peer.peer
    to = {"nobody": "", "member": "hospital", "peer": show_peer_id(hospital)}[by]
    request = operations_pb2.TransferLeadershipRequest(to=to)
    async with serving() as server, server.as_principal(OPERATOR) as channel:
        answer = await OperationServiceStub(channel).TransferLeadership(request, timeout=TIMEOUT_S)

    assert answer.leader == show_peer_id(hospital)
    assert server.peer.calls == [None if by == "nobody" else hospital]


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("nowhere", "UNKNOWN_PEER"),
        ("00000000000000ab", "INVALID_FIELD"),
        ("abcdef0123456789", "UNKNOWN_PEER"),
        ("No Name", "INVALID_FIELD"),
    ],
)
async def test_leadership_goes_to_a_voter_only(to: str, reason: str) -> None:
    request = operations_pb2.TransferLeadershipRequest(to=to)
    async with serving() as server, server.as_principal(OPERATOR) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await OperationServiceStub(channel).TransferLeadership(request, timeout=TIMEOUT_S)

    assert refusal_of(caught.value).reason == reason
    assert server.peer.calls == []
