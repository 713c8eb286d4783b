"""The keys that this member may open: its own keyrings, to write with, and others', to read with.

Everything is found in the applied state and opened with the member's sealing key; what is kept
beside it are bounded caches, and the epochs whose entries are still on their way.

Under an epoch that was closed nothing may be written any more: who lost a grant holds its key
(INV-25). So the keys kept to write with are as old as the last block that was applied: each block
that opens or closes an epoch of this member takes the key of that patient out of the cache
(`on_applied`).

Sealing and opening by HPKE takes about half a millisecond of Python (see crypto.custody), so what
a batch needs of it is done ahead, one key a turn of the loop (`prepare`).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from caretree.crypto.custody import Custody
from caretree.crypto.x25519 import SealingKey
from caretree.ledger.authoring import (
    Author,
    Draft,
    NewKeyring,
    Request,
    draft_entry,
    keyring_context,
    new_keyring,
)
from caretree.ledger.genesis import Genesis
from caretree.ledger.key_paths import EpochKey, key_path, open_key_path
from caretree.ledger.queries import custodian_state, live_grantees
from caretree.ledger.values import HeldBlock, Keyring, Outcome, Patient, Revoke
from caretree.model.ids import MemberId, Pseudonym, TimeMs
from caretree.model.reasons import CallError, Reason
from caretree.storage.ports import Reads

# Patients whose records are written and read in a busy centre's day; half a kilobyte each.
WRITING_KEYS_MAX: Final = 16_384
CACHED_KEYS_MAX: Final = 16_384

Prepared = Mapping[Pseudonym, NewKeyring]
RETRY_AFTER_MS: Final = 500


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
        self._writing: OrderedDict[Pseudonym, EpochKey] = OrderedDict()
        self._opening: dict[Pseudonym, EpochKey] = {}
        self._turn = asyncio.Lock()

    @contextmanager
    def drafting(self) -> Iterator[None]:
        """Within it entries are drafted and put into the queue, all in one turn of the loop.

        When that fails, the epochs opened meanwhile are forgotten: no entry of theirs is on its
        way, and what was written under them would be refused for ever.
        """
        before = dict(self._opening)
        try:
            yield
        except BaseException:
            self._opening = before
            raise

    def key_at_hand(self, patient: Patient) -> EpochKey | None:
        """The key to write with, of the epoch on its way or open; None where a new one is needed.

        Raises:
            OpeningError: a key does not open, or is not the one its id names.
        """
        pseudonym = patient.pseudonym
        on_its_way = self._opening.get(pseudonym)
        if on_its_way is not None:
            return on_its_way
        known = self._writing.get(pseudonym)
        if known is not None:
            self._writing.move_to_end(pseudonym)
            return known
        member = self._author.member
        state = custodian_state(self._reads, patient, member)
        if state is None or state.closed:
            return None
        key = self.key(member, patient, state.epoch)
        if key is not None:
            self._keep_to_write(pseudonym, key)
        return key

    async def prepare(
        self, patients: Iterable[Patient], now_ms: TimeMs, *, deadline: float
    ) -> Prepared:
        """New epochs for the patients that need one, not in effect; the others' keys are opened.

        Where all keys are at hand it returns at once. Otherwise every other task of the loop has a
        turn after each key, however many calls prepare.

        Raises:
            CallError: OVERLOADED: it would take longer than until `deadline`.
            OpeningError: a key does not open, or is not the one its id names.
        """
        prepared: dict[Pseudonym, NewKeyring] = {}
        for patient in patients:
            pseudonym = patient.pseudonym
            if pseudonym in self._writing or pseudonym in self._opening or pseudonym in prepared:
                continue
            async with self._turn:
                if asyncio.get_running_loop().time() > deadline:
                    raise CallError(Reason.OVERLOADED, retry_after_ms=RETRY_AFTER_MS)
                if self.key_at_hand(patient) is None:
                    prepared[pseudonym] = self._new_epoch(patient, now_ms)
                await asyncio.sleep(0)
        return prepared

    def open_epoch(
        self, request: Request, patient: Patient, now_ms: TimeMs, prepared: Prepared
    ) -> tuple[EpochKey, Draft]:
        """A new epoch to write with, on its way from now on, and the entry that opens it."""
        new = prepared.get(patient.pseudonym)
        if new is None or not self._fits(new.keyring, now_ms):
            new = self._new_epoch(patient, now_ms)
        self._opening[patient.pseudonym] = new.epoch_key
        return new.epoch_key, draft_entry(self._author, request, new.keyring, self._custody)

    def settled(self, patient: Patient, epoch_key: EpochKey) -> None:
        """Note that the fate of an epoch's entry is known: the applied state speaks for it now."""
        if self._opening.get(patient.pseudonym) == epoch_key:
            del self._opening[patient.pseudonym]

    def doubt(self, patient: Patient) -> None:
        """Look the open epoch up anew: an entry was refused because its epoch is closed."""
        self._writing.pop(patient.pseudonym, None)

    def on_applied(self, held: HeldBlock, outcomes: Sequence[Outcome]) -> None:
        """Note which epochs of this member a block opened and closed, in the order of its entries.

        To be called for every applied block before whoever waits for its entries is told.
        """
        for entry, outcome in zip(held.entries, outcomes, strict=True):
            happening = None if entry.body is None else entry.body.happening
            if not isinstance(happening, Keyring | Revoke) or outcome is not Outcome.APPLIED:
                continue
            if happening.custodian == self._author.member:
                self._writing.pop(happening.patient.pseudonym, None)
                if isinstance(happening, Keyring):
                    self._opened(happening)

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
        self._keep_to_read(custodian, patient.pseudonym, key)
        return key

    def _new_epoch(self, patient: Patient, now_ms: TimeMs) -> NewKeyring:
        member = self._author.member
        state = custodian_state(self._reads, patient, member)
        return new_keyring(
            self._author,
            patient,
            previous=None if state is None else self.key(member, patient, state.epoch),
            sealing_keys={
                name: self._sealing_key_of(name) for name in self._holders(patient, now_ms)
            },
            custody=self._custody,
        )

    def _fits(self, prepared: Keyring, now_ms: TimeMs) -> bool:
        """Whether an epoch that was prepared some turns ago is still the next, for the same."""
        patient = prepared.patient
        state = custodian_state(self._reads, patient, self._author.member)
        follows = None if state is None else state.key_id
        holders = {sealed.member for sealed in prepared.sealed_keys}
        return prepared.previous_key_id == follows and holders == self._holders(patient, now_ms)

    def _holders(self, patient: Patient, now_ms: TimeMs) -> frozenset[MemberId]:
        """To whom a new epoch is sealed."""
        member = self._author.member
        return live_grantees(self._reads, patient, member, now_ms) | {member}

    def _opened(self, keyring: Keyring) -> None:
        pseudonym = keyring.patient.pseudonym
        on_its_way = self._opening.get(pseudonym)
        if on_its_way is not None and on_its_way.key_id == keyring.key_id:
            del self._opening[pseudonym]
            self._keep_to_write(pseudonym, on_its_way)

    def _keep_to_write(self, pseudonym: Pseudonym, key: EpochKey) -> None:
        self._keep_to_read(self._author.member, pseudonym, key)
        self._writing[pseudonym] = key
        if len(self._writing) > WRITING_KEYS_MAX:
            self._writing.popitem(last=False)

    def _keep_to_read(self, custodian: MemberId, pseudonym: Pseudonym, key: EpochKey) -> None:
        self._cache[custodian, pseudonym, key.epoch] = key
        if len(self._cache) > CACHED_KEYS_MAX:
            self._cache.popitem(last=False)

    def _sealing_key_of(self, member: MemberId) -> bytes:
        founded = self._genesis.member(member)
        assert founded is not None, "a grantee is a member"
        return founded.sealing_key
