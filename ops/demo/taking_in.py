"""The import, with daemons killed under it at set counts of acknowledgements.

It is what `caretree import` does, through the same library: files are cut into records by
`caretree.intake`, and each record goes in under its source's id, so that sending it again after a
lost connection adds nothing. Nobody restarts or repeats anything on this side.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from caretree.client import CaretreeClient
from caretree.client.errors import CallFailedError
from caretree.client.values import ActingPerson, NewRecord, Source
from caretree.crypto.pseudonym import PatientIdentifier
from caretree.intake.split import Document

from ops.demo.acknowledged import Acknowledgements
from ops.demo.bundles import Survey, read_split
from ops.demo.consortium import TOWN

RECORDS_UNDER_WAY_MAX: Final = 128
# Of a small import few are under way at once, or the blows would fall when all is over.
_SHARE_UNDER_WAY: Final = 9
# Time for an election, and for the killed daemon to come back on a busy machine.
DEADLINE_S: Final = 90.0
_REFUSED: Final = frozenset(("INVALID_ARGUMENT", "ALREADY_EXISTS"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """What is done to the consortium when so many records are acknowledged."""

    at: int
    strike: Callable[[], None]


@dataclass(slots=True, kw_only=True)
class Imported:
    """How an import went."""

    acknowledged: int = 0
    already_added: int = 0
    refused: list[str] = field(default_factory=list)
    begun: float = 0.0  # all times are the loop's, in seconds
    times: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """From the first call to the last acknowledgement."""
        return self.times[-1] - self.begun if self.times else 0.0

    def longest_wait(self, *, after: int, until: int) -> float:
        """The longest wait for an acknowledgement between those of these numbers, in seconds."""
        times = self.times[after - 1 : until]
        return max((later - earlier for earlier, later in pairwise(times)), default=0.0)


class TakingIn:
    """An import under way."""

    def __init__(
        self,
        client: CaretreeClient,
        acknowledgements: Acknowledgements,
        *,
        acting: ActingPerson,
        blows: Sequence[Blow],
        on_acknowledged: Callable[[], None],
    ) -> None:
        self._client = client
        self._acknowledgements = acknowledgements
        self._acting = acting
        self._blows = {blow.at: blow for blow in blows}
        self._on_acknowledged = on_acknowledged
        self._imported = Imported()

    async def run(self, survey: Survey) -> Imported:
        """Take every file of the survey in.

        Raises:
            CaretreeError: the import could not go on by itself.
        """
        self._imported.begun = asyncio.get_running_loop().time()
        share = max(1, survey.record_count // _SHARE_UNDER_WAY)
        room = asyncio.Semaphore(min(share, RECORDS_UNDER_WAY_MAX))
        async with asyncio.TaskGroup() as group:
            async for patient, document in _documents(survey):
                await room.acquire()
                appending = group.create_task(self._append(patient, document))
                appending.add_done_callback(lambda _: room.release())
        return self._imported

    async def _append(self, patient: PatientIdentifier, document: Document) -> None:
        record = NewRecord(
            patient=patient,
            content=document.content,
            media_type=document.media_type,
            acting=self._acting,
            source=Source(system=document.source_system, id=document.source_id, part=document.part),
        )
        try:
            appended = await self._client.append(record, deadline_s=DEADLINE_S)
        except CallFailedError as error:
            if error.code not in _REFUSED:
                raise
            self._imported.refused.append(str(error))
            return
        self._acknowledgements.note(
            appended.record_id, member=TOWN, patient=patient, content=document.content
        )
        self._imported.already_added += appended.already_added
        self._count()

    def _count(self) -> None:
        """Count an acknowledgement; a blow due at this one falls before any other is counted."""
        imported = self._imported
        imported.acknowledged += 1
        imported.times.append(asyncio.get_running_loop().time())
        self._on_acknowledged()
        blow = self._blows.get(imported.acknowledged)
        if blow is not None:
            blow.strike()


async def _documents(survey: Survey) -> AsyncIterator[tuple[PatientIdentifier, Document]]:
    for file in survey.files:
        split = await asyncio.to_thread(read_split, file, survey.identifier_systems)
        for document in split.documents:
            yield split.patient, document


def thirds(total: int) -> tuple[int, int]:
    """The counts at one third and at two thirds of so many."""
    return max(1, total // 3), max(2, 2 * total // 3)
