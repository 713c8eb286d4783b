"""What this room asks of others: the peer behind it, and who counts its calls."""

from collections.abc import Sequence
from typing import Protocol

from caretree.crypto.pseudonym import PatientIdentifier
from caretree.ledger.genesis import Genesis
from caretree.ledger.values import Position
from caretree.model.ids import LeafIndex, PeerId, RecordId, RequestId, TreeSize
from caretree.model.reasons import CallError, Reason
from caretree.node.calls import (
    AppendAnswer,
    AppendCommand,
    CheckpointAnswer,
    GrantAnswer,
    GrantCommand,
    GrantView,
    HistoryAnswer,
    HistoryCommand,
    HistoryRecord,
    ReceiptAnswer,
    RecordCommand,
    RevokeCommand,
    StatusView,
    TrailAnswer,
)
from caretree.telemetry.metrics import Port, ReloadedFile


class Peer(Protocol):
    """A peer, as `caretree.node.peer.Peer` is one.

    A deadline is the loop's time by which the answer must be there. Every method raises CallError.
    A call that is cancelled leaves what it handed over to take its course.
    """

    @property
    def genesis(self) -> Genesis:
        """What the consortium agreed on."""
        ...

    async def append(
        self, commands: Sequence[AppendCommand], *, deadline: float, receipts: bool = True
    ) -> list[AppendAnswer | CallError]:
        """What became of each record, in order."""
        ...

    async def history(self, command: HistoryCommand, *, deadline: float) -> HistoryAnswer:
        """A page of a history."""
        ...

    async def record(
        self, command: RecordCommand, *, deadline: float
    ) -> tuple[Position, HistoryRecord]:
        """Where the reading stands, and the record."""
        ...

    async def grant(self, command: GrantCommand, *, deadline: float) -> GrantAnswer:
        """The grant, given."""
        ...

    async def revoke(self, command: RevokeCommand, *, deadline: float) -> list[GrantAnswer]:
        """The grants, taken back."""
        ...

    def grants(
        self, patient: PatientIdentifier, *, after: bytes | None, limit: int
    ) -> tuple[list[GrantView], bytes | None]:
        """Grants of a patient, oldest first, and the `after` of the next page."""
        ...

    def trail(self, patient: PatientIdentifier | None, *, before: int, limit: int) -> TrailAnswer:
        """What happened, newest first."""
        ...

    def receipt_of_record(self, record_id: RecordId) -> ReceiptAnswer:
        """The receipt of a record of this member."""
        ...

    def receipt_of_request(self, request_id: RequestId) -> ReceiptAnswer:
        """The receipt of what a call of this member did."""
        ...

    def receipt_of_leaf(self, leaf_index: LeafIndex) -> ReceiptAnswer:
        """The receipt of an entry of this member."""
        ...

    def checkpoint(self) -> CheckpointAnswer:
        """The newest certified checkpoint."""
        ...

    def consistency_proof(
        self, first: TreeSize, second: TreeSize | None
    ) -> tuple[Sequence[bytes], TreeSize]:
        """The proof, and the larger size it ends at."""
        ...

    def status(self) -> StatusView:
        """What the peer knows of itself and the others."""
        ...

    async def transfer_leadership(self, to: PeerId | None, *, deadline: float) -> PeerId:
        """The new leader."""
        ...


class CallRecorder(Protocol):
    """Counts calls, under the usual grpc_server_* names, who is not let in, and failed reloads.

    `telemetry.metrics.Metrics` is one.
    """

    def certificate_refused(self, port: Port, reason: Reason, /) -> None:
        """A call or message was refused for the certificate it came under."""
        ...

    def reload_failed(self, file: ReloadedFile, /) -> None:
        """A changed file could not be taken into use."""
        ...

    def grpc_started(self, grpc_type: str, service: str, method: str, /) -> None:
        """A call began."""
        ...

    def grpc_handled(
        self, grpc_type: str, service: str, method: str, code: str, seconds: float, /
    ) -> None:
        """A call ended with a code."""
        ...
