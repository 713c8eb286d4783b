"""The keys that this member may open: its own keyrings, to write with, and others', to read with.

Everything is found in the applied state and opened with the member's sealing key; what is kept
beside it is a bounded cache, and the epochs whose entries are still on their way.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from caretree.crypto.custody import Custody
from caretree.crypto.x25519 import SealingKey
from caretree.ledger.authoring import (
    Author,
    Draft,
    Request,
    draft_keyring,
    keyring_context,
)
from caretree.ledger.genesis import Genesis
from caretree.ledger.key_paths import EpochKey, key_path, open_key_path
from caretree.ledger.queries import custodian_state, live_grantees
from caretree.ledger.values import Patient
from caretree.model.ids import MemberId, Pseudonym, TimeMs
from caretree.storage.ports import Reads

CACHED_KEYS_MAX: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingKey:
    """The epoch key to write with, and the entry that opens the epoch when it is new."""

    epoch_key: EpochKey
    opening: Draft | None


class Keyrings:
    """For one peer, on the loop's thread."""

    def __init__(
        self,
        *,
        reads: Reads,
        genesis: Genesis,
        author: Author,
        custody: Custody,
        sealing_key: SealingKey,
    ) -> None:
        self._reads = reads
        self._genesis = genesis
        self._author = author
        self._custody = custody
        self._sealing_key = sealing_key
        self._cache: OrderedDict[tuple[MemberId, Pseudonym, int], EpochKey] = OrderedDict()
        self._opening: dict[Pseudonym, EpochKey] = {}

    def writing_key(self, request: Request, patient: Patient, now_ms: TimeMs) -> WritingKey:
        """The key to write with; a new epoch where none is open, in the name of `request`."""
        on_its_way = self._opening.get(patient.pseudonym)
        if on_its_way is not None:
            return WritingKey(epoch_key=on_its_way, opening=None)
        member = self._author.member
        state = custodian_state(self._reads, patient, member)
        previous = None if state is None else self.key(member, patient, state.epoch)
        if state is not None and previous is not None and not state.closed:
            return WritingKey(epoch_key=previous, opening=None)
        grantees = live_grantees(self._reads, patient, member, now_ms)
        draft, epoch_key = draft_keyring(
            self._author,
            request,
            patient,
            previous=previous,
            sealing_keys={name: self._sealing_key_of(name) for name in (member, *grantees)},
            custody=self._custody,
        )
        self._opening[patient.pseudonym] = epoch_key
        return WritingKey(epoch_key=epoch_key, opening=draft)

    def settled(self, patient: Patient, epoch_key: EpochKey) -> None:
        """Note that the fate of an epoch's entry is known: the applied state speaks for it now."""
        if self._opening.get(patient.pseudonym) == epoch_key:
            del self._opening[patient.pseudonym]

    def key(self, custodian: MemberId, patient: Patient, epoch: int) -> EpochKey | None:
        """The key of a custodian's keyring epoch, when it was ever sealed to this member.

        Raises:
            OpeningError: a key does not open, or is not the one its id names.
        """
        at = (custodian, patient.pseudonym, epoch)
        cached = self._cache.get(at)
        if cached is not None:
            self._cache.move_to_end(at)
            return cached
        context = keyring_context(self._author.origin, custodian, patient)
        path = key_path(self._reads, context, patient, member=self._author.member, epoch=epoch)
        if path is None:
            return None
        key = open_key_path(path, context, custody=self._custody, sealing_key=self._sealing_key)
        self._cache[at] = key
        if len(self._cache) > CACHED_KEYS_MAX:
            self._cache.popitem(last=False)
        return key

    def _sealing_key_of(self, member: MemberId) -> bytes:
        founded = self._genesis.member(member)
        assert founded is not None, "a grantee is a member"
        return founded.sealing_key
