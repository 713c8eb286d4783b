"""The client: a connection to the own member's peer, which takes its word for nothing provable."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from caretree.client.access import AccessCalls
from caretree.client.channel import DEADLINE_S, call, deadline_after, open_channel
from caretree.client.messages import read_peer_status
from caretree.client.proofs import ProofCalls
from caretree.client.records import RecordCalls
from caretree.client.settings import ClientSettings
from caretree.client.trust import Trust
from caretree.client.values import Status
from caretree.proto.api.v1 import operations_pb2


class CaretreeClient(RecordCalls, AccessCalls, ProofCalls):
    """A connected client; `connect` makes one.

    Every method takes `deadline_s`, within which failed calls are repeated where that is safe.
    Every method raises CallFailedError, AnswerError, and what it names itself.
    """

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: ClientSettings) -> AsyncIterator[Self]:
        """A client for as long as the context lasts. The connection is made by the first call.

        Raises:
            MalformedError: the policy is none, or lists no log of the origin.
        """
        trust = Trust(policy_text=settings.policy_text, origin=settings.origin)
        async with open_channel(settings) as channel:
            client = cls(channel, trust)
            appending = asyncio.create_task(client._appends.run())
            try:
                yield client
            finally:
                appending.cancel()
                await asyncio.gather(appending, return_exceptions=True)

    async def status(self, *, deadline_s: float = DEADLINE_S) -> Status:
        """What the peer says of itself and the others."""
        deadline = deadline_after(deadline_s)
        request = operations_pb2.GetStatusRequest()
        return read_peer_status(
            await self._ask(self._operations.GetStatus, request, deadline=deadline)
        )

    async def transfer_leadership(self, to: str = "", *, deadline_s: float = DEADLINE_S) -> str:
        """The leader after leadership went to a peer, a member, or whom the leader chose.

        It is never repeated: a second call might move leadership a second time.
        """
        request = operations_pb2.TransferLeadershipRequest(to=to)
        method = self._operations.TransferLeadership
        answer = await call(method, request, deadline=deadline_after(deadline_s))
        return answer.leader
