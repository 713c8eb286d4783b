"""A ledger to act on: three founders, a store in memory, and one call for each thing they may do.

world = World()
key = world.open_keyring(TOWN, PATIENT)
world.run(TOWN, world.record(TOWN, PATIENT, key))      -> (Outcome.APPLIED,)
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from caretree.crypto.commitments import SALT_BYTES, leaf_commitment
from caretree.ledger.access import Reader
from caretree.ledger.apply import Applied, apply_block, apply_genesis
from caretree.ledger.authoring import (
    Author,
    Draft,
    NewGrant,
    NewRecord,
    Request,
    draft_entry,
    draft_grant,
    draft_keyring,
    draft_reading,
    draft_record,
    draft_revoke,
)
from caretree.ledger.batches import build_batch
from caretree.ledger.blocks import build_block
from caretree.ledger.holding import hold_block, hold_genesis, no_holes
from caretree.ledger.key_paths import EpochKey
from caretree.ledger.leaves import encode_entry_leaf
from caretree.ledger.queries import HistoryItem, history_page, live_grantees
from caretree.ledger.stored_blocks import store_block
from caretree.ledger.tree import TreeEdge
from caretree.ledger.values import (
    Actor,
    Attempt,
    Batch,
    Block,
    Denial,
    Happening,
    Head,
    HeldBlock,
    Opening,
    Outcome,
    Page,
    Patient,
    Position,
    Purpose,
    Replaces,
    Role,
    Rule,
    VoidReason,
)
from caretree.model.ids import (
    Digest,
    GrantId,
    Height,
    MemberId,
    RecordId,
    RequestId,
    TimeMs,
)
from caretree.storage.memory import MemoryStore
from caretree.storage.ports import Batch as StorageBatch

from tests.ledger.builders import FixedCustody, founders
from tests.ledger.people import (
    FIRST_PAGE,
    PATIENT,
    TREATMENT,
    QuickCustody,
    actor,
    patient,
)

BLOCK_MS: Final = 1_000
HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A block that was applied, as it was held."""

    held: HeldBlock
    applied: Applied


class World:
    """A chain that grows block by block, in a store in memory."""

    def __init__(self, *, seed: int = 1, quick: bool = True) -> None:
        self.consortium = founders()
        self.rules = self.consortium.genesis
        self.custody = QuickCustody(seed) if quick else FixedCustody(seed)
        self.store = MemoryStore()
        self.steps: list[Step] = []
        self._names = 0
        batch = StorageBatch()
        held = hold_genesis(self.rules)
        store_block(batch, held)
        applied = apply_genesis(self.store, self.rules)
        self._write(batch, applied)
        self.steps.append(Step(held=held, applied=applied))

    @property
    def head(self) -> Head:
        """The head of the chain."""
        return self.steps[-1].applied.head

    @property
    def edge(self) -> TreeEdge:
        """The right edge of its tree."""
        return self.steps[-1].applied.edge

    @property
    def next_ms(self) -> TimeMs:
        """The time of the next block."""
        return TimeMs(self.head.time_ms + BLOCK_MS)

    def new_id(self) -> bytes:
        """16 bytes never given before."""
        self._names += 1
        return hashlib.sha256(f"id {self._names}".encode()).digest()[:16]

    def author(self, member: MemberId) -> Author:
        """The member's peer as an author."""
        peer = self.consortium[member].peer.peer
        return Author(origin=self.rules.origin, peer=peer, member=member)

    def request(self, who: Actor | None = None, *, request_id: bytes | None = None) -> Request:
        """A request under a new id, unless one is given."""
        chosen = request_id or self.new_id()
        digest = Digest(hashlib.sha256(chosen).digest())
        return Request(request_id=RequestId(chosen), request_digest=digest, actor=who or actor())

    def record(
        self,
        member: MemberId,
        whose: Patient,
        key: EpochKey,
        *,
        who: Actor | None = None,
        content: bytes = b"content",
        record_id: bytes | None = None,
        replaces: Replaces | None = None,
        request: Request | None = None,
    ) -> Draft:
        """A record by this member."""
        new = NewRecord(
            record_id=RecordId(record_id or self.new_id()),
            patient=whose,
            content=content,
            media_type="text/plain",
            document_id=bytes(16),
            part=0,
            replaces=replaces,
        )
        asked = request or self.request(who)
        return draft_record(self.author(member), asked, new, key, self.custody)

    def keyring(
        self,
        member: MemberId,
        whose: Patient,
        *,
        previous: EpochKey | None = None,
        to: Sequence[MemberId] | None = None,
        who: Actor | None = None,
    ) -> tuple[Draft, EpochKey]:
        """A keyring epoch of this member, sealed to whom it must be unless `to` says otherwise."""
        grantees = live_grantees(self.store, whose, member, self.next_ms)
        recipients = {member, *grantees} if to is None else set(to)
        return draft_keyring(
            self.author(member),
            self.request(who),
            whose,
            previous=previous,
            sealing_keys={name: self.sealing_key(name) for name in recipients},
            custody=self.custody,
        )

    def grant(
        self,
        member: MemberId,
        whose: Patient,
        key: EpochKey,
        grantee: MemberId,
        *,
        rule: Rule | None = None,
        who: Actor | None = None,
        grant_id: bytes | None = None,
    ) -> Draft:
        """A grant by this member; by default to physicians, for treatment, for an hour."""
        new = NewGrant(
            grant_id=GrantId(grant_id or self.new_id()),
            patient=whose,
            grantee=grantee,
            sealing_key=self.sealing_key(grantee),
            rule=rule or self.rule(),
        )
        return draft_grant(self.author(member), self.request(who), new, key, self.custody)

    def rule(
        self,
        *,
        roles: Sequence[Role] = (Role.PHYSICIAN,),
        principals: Sequence[str] = (),
        purpose: Purpose = TREATMENT,
        for_ms: int = HOUR_MS,
    ) -> Rule:
        """A rule that holds for so long from the next block on."""
        return Rule(
            roles=frozenset(roles),
            principals=frozenset(principals),
            purpose=purpose,
            until_ms=TimeMs(self.next_ms + for_ms),
        )

    def sealing_key(self, member: MemberId) -> bytes:
        """The member's public sealing key; a stranger is given the first founder's."""
        found = self.rules.member(member) or self.rules.members[0]
        return found.sealing_key

    def revoke(
        self, member: MemberId, whose: Patient, grant_id: bytes, *, who: Actor | None = None
    ) -> Draft:
        """A grant of this member taken back."""
        request = self.request(who)
        return draft_revoke(self.author(member), request, whose, GrantId(grant_id), self.custody)

    def reading(
        self,
        by: Reader,
        whose: Patient,
        record_ids: Sequence[bytes],
        *,
        scope: Page | RecordId = FIRST_PAGE,
    ) -> Draft:
        """A reading that names these records."""
        return draft_reading(
            self.author(by.member),
            self.request(by.actor),
            whose,
            purpose=by.purpose,
            scope=scope,
            record_ids=tuple(RecordId(record_id) for record_id in record_ids),
            random=self.custody,
        )

    def fresh_reading(self, by: Reader, whose: Patient, page: Page = FIRST_PAGE) -> Draft:
        """A reading of what is open now, as a peer drafts it."""
        view = history_page(self.store, by, whose, page, self.next_ms)
        return self.reading(by, whose, view.open_ids, scope=page)

    def denial(self, member: MemberId, *patients: Patient, who: Actor | None = None) -> Draft:
        """Refused readings of these patients."""
        attempts = tuple(Attempt(patient=whose, count=1) for whose in patients)
        return self.entry(member, Denial(minute_ms=TimeMs(0), attempts=attempts, more=0), who)

    def entry(
        self,
        member: MemberId,
        happening: Happening,
        who: Actor | None = None,
        *,
        payload: bytes | None = None,
    ) -> Draft:
        """Any entry."""
        asked, author = self.request(who), self.author(member)
        return draft_entry(author, asked, happening, self.custody, payload=payload)

    def unparsed(self, member: MemberId, body: bytes = b"no body") -> Draft:
        """An entry whose leaf fits a body that is none."""
        author, salt = self.author(member), self.custody.random_bytes(SALT_BYTES)
        commitment = leaf_commitment(
            origin=author.origin, author_peer=author.peer, salt=salt, body=body
        )
        opening = Opening(salt=salt, body=body, payload=None)
        said = self.denial(member, PATIENT).body  # what a draft must say; nobody reads it
        return Draft(leaf=encode_entry_leaf(commitment), opening=opening, body=said)

    def batch(self, member: MemberId, *drafts: Draft) -> Batch:
        """The drafts as a batch signed by the member's peer."""
        peer = self.consortium[member].peer
        return build_batch(
            origin=self.rules.origin,
            author=peer.peer,
            drafts=[(draft.leaf, draft.opening) for draft in drafts],
            sign=peer.batch.sign,
        )

    def block(
        self,
        *batches: Batch,
        height: int | None = None,
        parent: bytes | None = None,
        time_ms: int | None = None,
        epoch: int | None = None,
        version: int | None = None,
    ) -> Block:
        """The next block of these batches; a part given is put in wrongly."""
        head = self.head
        return build_block(
            height=Height(head.height + 1 if height is None else height),
            parent=Digest(parent or head.block_hash),
            time_ms=TimeMs(self.next_ms if time_ms is None else time_ms),
            membership_epoch=head.membership_epoch if epoch is None else epoch,
            ledger_version=head.ledger_version if version is None else version,
            leader=self.consortium.founders[0].peer.peer,
            batches=batches,
        )

    def hold(self, block: Block) -> HeldBlock:
        """The block as a voter holds it."""
        return hold_block(block, self.rules, recorded_outcomes=None, holes_allowed=no_holes)

    def try_block(self, block: Block) -> Applied | VoidReason:
        """What applying the block would give; nothing is written."""
        return apply_block(self.store, self.head, self.hold(block), self.rules, self.edge)

    def add_block(self, block: Block) -> Applied:
        """The block held, stored and applied."""
        held, batch = self.hold(block), StorageBatch()
        store_block(batch, held)
        applied = apply_block(self.store, self.head, held, self.rules, self.edge)
        assert isinstance(applied, Applied), applied
        self._write(batch, applied)
        self.steps.append(Step(held=held, applied=applied))
        return applied

    def add(self, member: MemberId, *drafts: Draft) -> Applied:
        """A block of one batch by this member, applied."""
        return self.add_block(self.block(self.batch(member, *drafts)))

    def run(self, member: MemberId, *drafts: Draft) -> tuple[Outcome, ...]:
        """The outcomes of a block of one batch by this member."""
        return self.add(member, *drafts).outcomes

    def outcome(self, member: MemberId, draft: Draft) -> Outcome:
        """The outcome of a block of one entry."""
        (outcome,) = self.run(member, draft)
        return outcome

    def take(self, member: MemberId, draft: Draft) -> Position:
        """The position of an entry that must take effect."""
        applied = self.add(member, draft)
        assert applied.outcomes == (Outcome.APPLIED,)
        (position,) = applied.positions
        assert position is not None
        return position

    def open_keyring(
        self, member: MemberId, whose: Patient, *, previous: EpochKey | None = None
    ) -> EpochKey:
        """A keyring epoch, opened, and its key."""
        draft, key = self.keyring(member, whose, previous=previous)
        self.take(member, draft)
        return key

    def closed_epoch(self, member: MemberId, whose: Patient) -> EpochKey:
        """The first keyring epoch, closed by a revoke."""
        key = self.open_keyring(member, whose)
        grant_id = self.new_id()
        other = next(f.member for f in self.consortium.founders if f.member != member)
        self.take(member, self.grant(member, whose, key, other, grant_id=grant_id))
        self.take(member, self.revoke(member, whose, grant_id))
        return key

    def page(self, by: Reader, whose: Patient) -> tuple[HistoryItem, ...]:
        """The first page of a history as this reader would be shown it now."""
        return history_page(self.store, by, whose, FIRST_PAGE, self.next_ms).items

    def pass_time(self, milliseconds: int) -> None:
        """A block at so much later a time."""
        stranger = self.denial(self.consortium.founders[-1].member, patient("nobody"))
        batch = self.batch(self.consortium.founders[-1].member, stranger)
        self.add_block(self.block(batch, time_ms=self.head.time_ms + milliseconds))

    def _write(self, batch: StorageBatch, applied: Applied) -> None:
        batch.rows.extend(applied.batch.rows)
        self.store.write(batch, sync=False)
