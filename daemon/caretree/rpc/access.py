"""AccessService: opens and closes histories, and shows who did."""

from collections.abc import Awaitable

import grpc
from typing_extensions import override

from caretree.proto.api.v1 import access_pb2, access_pb2_grpc
from caretree.rpc.acting import acting_as
from caretree.rpc.fields import FieldChecks
from caretree.rpc.guard import current_caller
from caretree.rpc.messages import (
    grant_description,
    grant_message,
    revoked_message,
    trail_message,
)
from caretree.rpc.page_tokens import PageTokens
from caretree.rpc.ports import Peer
from caretree.rpc.validation import grant_command, read_page_size, revoke_command

_CreateGrant = grpc.aio.ServicerContext[
    access_pb2.CreateGrantRequest, Awaitable[access_pb2.CreateGrantResponse]
]
_RevokeGrant = grpc.aio.ServicerContext[
    access_pb2.RevokeGrantRequest, Awaitable[access_pb2.RevokeGrantResponse]
]
_ListGrants = grpc.aio.ServicerContext[
    access_pb2.ListGrantsRequest, Awaitable[access_pb2.ListGrantsResponse]
]
_ListTrail = grpc.aio.ServicerContext[
    access_pb2.ListTrailRequest, Awaitable[access_pb2.ListTrailResponse]
]


class AccessService(access_pb2_grpc.AccessServiceServicer):
    """Serves `api.v1.AccessService`; the caller is admitted before."""

    def __init__(self, peer: Peer, tokens: PageTokens) -> None:
        self._peer = peer
        self._tokens = tokens

    @override
    async def CreateGrant(
        self, request: access_pb2.CreateGrantRequest, context: _CreateGrant
    ) -> access_pb2.CreateGrantResponse:
        caller = current_caller()
        command = grant_command(request, caller, self._peer.genesis)
        return grant_message(await self._peer.grant(command, deadline=caller.deadline))

    @override
    async def RevokeGrant(
        self, request: access_pb2.RevokeGrantRequest, context: _RevokeGrant
    ) -> access_pb2.RevokeGrantResponse:
        caller = current_caller()
        command = revoke_command(request, caller, self._peer.genesis)
        answers = await self._peer.revoke(command, deadline=caller.deadline)
        return access_pb2.RevokeGrantResponse(
            revoked=[revoked_message(answer) for answer in answers]
        )

    @override
    async def ListGrants(
        self, request: access_pb2.ListGrantsRequest, context: _ListGrants
    ) -> access_pb2.ListGrantsResponse:
        checks = FieldChecks()
        actor = acting_as(current_caller(), request.acting_person, checks)
        patient = checks.patient(request.patient, self._peer.genesis)
        page_size = read_page_size(request.page_size, checks)
        checks.finish()
        assert actor is not None
        assert patient is not None
        pages = self._tokens.of("grants", actor, patient)
        views, after = self._peer.grants(
            patient, after=pages.after(request.page_token), limit=page_size
        )
        return access_pb2.ListGrantsResponse(
            grants=[grant_description(view) for view in views],
            next_page_token=pages.token_after(after),
        )

    @override
    async def ListTrail(
        self, request: access_pb2.ListTrailRequest, context: _ListTrail
    ) -> access_pb2.ListTrailResponse:
        checks = FieldChecks()
        actor = acting_as(current_caller(), request.acting_person, checks)
        one = request.HasField("patient")
        patient = checks.patient(request.patient, self._peer.genesis) if one else None
        page_size = read_page_size(request.page_size, checks)
        checks.finish()
        assert actor is not None
        pages = self._tokens.of("trail", actor, patient)
        answer = self._peer.trail(patient, before=pages.before(request.page_token), limit=page_size)
        return access_pb2.ListTrailResponse(
            events=[trail_message(event) for event in answer.events],
            next_page_token=pages.token_before(answer.next_before),
        )
