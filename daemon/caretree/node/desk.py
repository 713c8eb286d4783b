"""What appending, reading and granting share: keys, clock, queue, certificates."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from caretree.crypto.custody import Custody
from caretree.crypto.keyed_hash import KeyedHash
from caretree.crypto.pseudonym import PatientIdentifier, pseudonym_of
from caretree.ledger.authoring import Author as AuthorName
from caretree.ledger.authoring import Draft, Request
from caretree.ledger.genesis import Genesis
from caretree.ledger.key_paths import EpochKey
from caretree.ledger.stored_blocks import StoredBlocks
from caretree.ledger.values import Actor, Patient, Position
from caretree.model.ids import Digest, LeafIndex, RequestId, TimeMs
from caretree.model.reasons import CallError
from caretree.node.author import Author, Submission, Told
from caretree.node.calls import EntryAnswer, EntryStatus
from caretree.node.certifier import Certifier
from caretree.node.keyrings import Keyrings
from caretree.node.proofs import Proofs
from caretree.storage.ports import Reads

# What is left of a call's time for the answer itself.
ANSWER_TIME_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedEpoch:
    """A keyring epoch whose entry is at `place` among the drafts submitted."""

    place: int
    patient: Patient
    epoch_key: EpochKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """For one peer, on the loop's thread."""

    genesis: Genesis
    author: AuthorName
    reads: Reads
    blocks: StoredBlocks
    custody: Custody
    keyrings: Keyrings
    queue: Author
    certifier: Certifier
    proofs: Proofs
    pseudonym_epoch: int
    pseudonym_key: KeyedHash
    id_key: KeyedHash
    digest_key: KeyedHash
    block_time_ms: Callable[[], TimeMs]

    def patient(self, identifier: PatientIdentifier) -> Patient:
        """The patient's pseudonym."""
        return Patient(
            pseudonym_epoch=self.pseudonym_epoch,
            pseudonym=pseudonym_of(self.pseudonym_key, identifier),
        )

    def own_request(self, actor: Actor) -> Request:
        """A request of this peer's own making, in the name of who caused it."""
        return Request(
            request_id=RequestId(self.custody.random_bytes(16)),
            request_digest=Digest(self.custody.random_bytes(32)),
            actor=actor,
        )

    def submit(self, drafts: Sequence[Draft], opened: Sequence[OpenedEpoch] = ()) -> Submission:
        """Put entries into the queue; keyring epochs among them are on their way until told.

        Raises:
            CallError: OVERLOADED, NO_QUORUM: nothing was put in.
        """
        try:
            return self.queue.submit(
                drafts, {each.place: partial(self._settled, each) for each in opened}
            )
        except CallError:
            for each in opened:
                self.keyrings.settled(each.patient, each.epoch_key)
            raise

    def _settled(self, opened: OpenedEpoch, _told: Told) -> None:
        self.keyrings.settled(opened.patient, opened.epoch_key)

    async def certified(self, leaf_index: LeafIndex, *, deadline: float) -> None:
        """Return when the leaf is certified, or when there is no more time to wait for it."""
        # The block's seal follows its entries, so a larger size covers it too: any checkpoint is at
        # a block's end.
        try:
            # Who gives up waits no longer: certificates may be missing for days.
            async with asyncio.timeout_at(deadline - ANSWER_TIME_S):
                await self.certifier.wait(leaf_index + 1)
        except TimeoutError:
            return

    def entry_answer(self, position: Position, *, receipt: bool) -> EntryAnswer:
        """How far an applied entry has come, with its receipt when it is certified and wanted."""
        certified = self.certifier.newest
        if certified is None or certified.size <= position.leaf_index:
            return EntryAnswer(position=position, status=EntryStatus.COMMITTED, receipt=b"")
        content = self.proofs.entry_receipt(position) if receipt else b""
        return EntryAnswer(position=position, status=EntryStatus.CERTIFIED, receipt=content)
