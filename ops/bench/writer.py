"""A ledger of any size without a call: what peers would have written, by the functions they use.

The township's peer authors, the hospital's leads, in blocks of one batch. Each of the three data
directories takes every block through Raft's log and apply, as its daemon would; what is spared is
sending and, but for the last block, syncing. So a daemon starts on it as after a clean stop.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Final, Self

from caretree.cli.home import Home, peer_keys_of
from caretree.crypto.custody import SystemCustody
from caretree.crypto.keystore import Keystore, PeerKeys
from caretree.crypto.pseudonym import PatientIdentifier, pseudonym_of
from caretree.ledger.authoring import Author, Draft, NewRecord, Request, draft_keyring, draft_record
from caretree.ledger.batches import build_batch
from caretree.ledger.blocks import build_block, encode_block_ref
from caretree.ledger.certificate import (
    add_lines,
    certification,
    format_certified_note,
    sign_lines,
    start_certificate,
)
from caretree.ledger.genesis import Genesis
from caretree.ledger.holding import hold_block, no_holes
from caretree.ledger.key_paths import EpochKey
from caretree.ledger.stored_blocks import store_block
from caretree.ledger.values import Actor, Head, HeldBlock, Patient, Role
from caretree.merkle.checkpoint import Checkpoint
from caretree.model.ids import Digest, Height, LogIndex, MemberId, RecordId, RequestId, Term, TimeMs
from caretree.node.applier import AppliedBlock
from caretree.node.certified_store import save_certified
from caretree.node.certifier import Certified
from caretree.node.disk import Disk, watermark_of_log, watermark_of_signature
from caretree.node.startup import Recovered, recover
from caretree.raft.messages import Entry, EntryType, HardState
from caretree.storage.directory import DataDirectory
from caretree.storage.leveldb import LevelDbStore
from caretree.storage.ports import Batch
from caretree.storage.row_cipher import RowCipher
from caretree.storage.watermark import WatermarkFile

from ops.bench.errors import BenchFailedError
from ops.bench.supply import Supply
from ops.demo.consortium import HOSPITAL, RECORD_SYSTEM, TOWN, Centre, Founded
from ops.demo.running import TOWN_PHYSICIAN

# As the bench's batches are; the number of blocks is what a start has to check.
BLOCK_ENTRIES: Final = 100
_MEDIA_TYPE: Final = "application/octet-stream"
_TERM: Final = Term(1)
_ACTOR: Final = Actor(principal=RECORD_SYSTEM, person=TOWN_PHYSICIAN.id, role=Role.PHYSICIAN)


@dataclass(slots=True, kw_only=True)
class Shelf:
    """One member's data directory, open to be written."""

    member: str
    keystore: Keystore
    keys: PeerKeys
    genesis: Genesis
    disk: Disk
    found: Recovered

    @classmethod
    def open(cls, centre: Centre) -> Self:
        """The directory of a member whose daemon does not run, checked as at a start."""
        home = Home(path=centre.folder)
        keystore, genesis = home.read_keystore(), home.read_genesis()
        directory = DataDirectory.open(centre.folder / "data")
        cipher = RowCipher(keystore.storage_key, random=SystemCustody())
        store = LevelDbStore.open(directory.database_path, cipher=cipher)
        watermark = WatermarkFile.open(directory.watermark_path)
        disk = Disk(store, watermark, directory=directory)
        return cls(
            member=centre.member,
            keystore=keystore,
            keys=peer_keys_of(keystore),
            genesis=genesis,
            disk=disk,
            found=recover(disk, genesis),
        )

    @property
    def head(self) -> Head:
        """The head of its chain."""
        return self.found.applier.head

    def take(self, held: HeldBlock, state: HardState, *, last: bool) -> None:
        """Write the block, its log row, and what follows from it.

        Raises:
            BenchFailedError: the block has no effect.
        """
        log, store = self.found.log, self.disk.store
        ref = self.found.stage.put(held)
        entry = Entry(
            index=state.commit,
            term=_TERM,
            type=EntryType.NORMAL,
            data=encode_block_ref(ref),
            payload_bytes=len(held.block.encoded),
        )
        batch = Batch()
        store_block(batch, held)
        log.stage(batch, [entry])
        log.stage_hard_state(batch, state)
        store.write(batch, sync=last)
        log.written([entry])
        (result,) = self.found.applier.apply([entry], None)
        self.found.stage.drop(ref)
        if not isinstance(result, AppliedBlock):
            raise BenchFailedError(f"block {held.block.header.height} has no effect")

    def settle(self, state: HardState) -> None:
        """Make durable what a peer has said by then: its log's end, its vote, what it signed."""
        self.disk.store.write(Batch(), sync=True)
        watermark = self.disk.watermark
        mark = watermark_of_log(watermark.read(), state, self.found.log.last_row())
        watermark.write(watermark_of_signature(mark, self.head.tree_size, self.head.root))


@dataclass(slots=True, kw_only=True)
class Drafting:
    """The township's peer as an author: a keyring for each patient, then records without end."""

    shelf: Shelf
    supply: Supply
    custody: SystemCustody = field(default_factory=SystemCustody)
    _keyrings: dict[PatientIdentifier, tuple[Patient, EpochKey]] = field(default_factory=dict)
    _number: int = 0

    def entries(self, count: int) -> list[Draft]:
        """The next so many entries."""
        drafts: list[Draft] = []
        while len(drafts) < count:
            whose = self.supply.patient(self._number)
            if whose not in self._keyrings:
                drafts.append(self._keyring(whose))
                continue
            drafts.append(self._record(*self._keyrings[whose]))
            self._number += 1
        return drafts

    @property
    def author(self) -> Author:
        """Who writes."""
        shelf = self.shelf
        return Author(
            origin=shelf.genesis.origin, peer=shelf.keys.peer_id(), member=shelf.keystore.member
        )

    def _keyring(self, whose: PatientIdentifier) -> Draft:
        shelf = self.shelf
        patient = Patient(
            pseudonym_epoch=shelf.genesis.pseudonym_epoch,
            pseudonym=pseudonym_of(_pseudonym_key(shelf), whose),
        )
        member = shelf.genesis.member(MemberId(TOWN))
        assert member is not None
        draft, epoch_key = draft_keyring(
            self.author,
            self._request(),
            patient,
            previous=None,
            sealing_keys={member.member: member.sealing_key},
            custody=self.custody,
        )
        self._keyrings[whose] = (patient, epoch_key)
        return draft

    def _record(self, patient: Patient, epoch_key: EpochKey) -> Draft:
        record_id = RecordId(self.custody.random_bytes(16))
        new = NewRecord(
            record_id=record_id,
            patient=patient,
            content=self.supply.content(self._number),
            media_type=_MEDIA_TYPE,
            document_id=record_id,
            part=0,
            replaces=None,
        )
        return draft_record(self.author, self._request(), new, epoch_key, self.custody)

    def _request(self) -> Request:
        return Request(
            request_id=RequestId(self.custody.random_bytes(16)),
            request_digest=Digest(self.custody.random_bytes(32)),
            actor=_ACTOR,
        )


def write_ledgers(
    founded: Founded, supply: Supply, *, entries: int, tell: Callable[[int], None]
) -> int:
    """Write so many entries into the three data directories; the tree's size then.

    Requires a consortium whose daemons have never run. `tell` hears how many are written.

    Raises:
        BenchFailedError: an entry has no effect.
    """
    with ExitStack() as stack:
        shelves = {name: Shelf.open(centre) for name, centre in founded.centres.items()}
        for shelf in shelves.values():
            stack.enter_context(closing(shelf.disk))
        drafting = Drafting(shelf=shelves[TOWN], supply=supply)
        leads = shelves[HOSPITAL].keys.peer_id()
        written, state = 0, HardState()
        while written < entries:
            count = min(BLOCK_ENTRIES, entries - written)
            held = _block(drafting, shelves[HOSPITAL], count)
            state = HardState(term=_TERM, vote=leads, commit=LogIndex(state.commit + 1))
            written += count
            for shelf in shelves.values():
                shelf.take(held, state, last=written == entries)
            tell(written)
        for shelf in shelves.values():
            shelf.settle(state)
        _certify(list(shelves.values()))
        return shelves[TOWN].head.tree_size


def _block(drafting: Drafting, leading: Shelf, count: int) -> HeldBlock:
    author, head = drafting.author, leading.head
    drafts = drafting.entries(count)
    batch = build_batch(
        origin=author.origin,
        author=author.peer,
        drafts=[(draft.leaf, draft.opening) for draft in drafts],
        sign=drafting.shelf.keys.batch.sign,
    )
    block = build_block(
        height=Height(head.height + 1),
        parent=head.block_hash,
        time_ms=TimeMs(max(head.time_ms + 1, _now_ms())),
        membership_epoch=head.membership_epoch,
        ledger_version=head.ledger_version,
        leader=leading.keys.peer_id(),
        batches=[batch],
    )
    return hold_block(block, leading.genesis, recorded_outcomes=None, holes_allowed=no_holes)


def _certify(shelves: Sequence[Shelf]) -> None:
    """Have every peer sign the tree, and keep the certificate as a start expects it."""
    head, genesis = shelves[0].head, shelves[0].genesis
    if any(shelf.head != head for shelf in shelves):
        raise BenchFailedError("the three ledgers differ")
    rule = certification(genesis)
    checkpoint = Checkpoint(origin=genesis.origin, size=head.tree_size, root=head.root)
    certificate = start_certificate(checkpoint)
    for shelf in shelves:
        own = next(peer for peer in genesis.signers if peer.peer == shelf.keys.peer_id())
        lines = sign_lines(
            checkpoint,
            peer=own,
            sign_log=shelf.keys.log.sign,
            sign_cosigner=shelf.keys.cosigner.sign,
            time_s=_now_ms() // 1000,
        )
        certificate = add_lines(certificate, lines, rule).certificate
    certified = Certified(
        size=head.tree_size,
        root=head.root,
        note=format_certified_note(certificate, rule),
        since_ms=TimeMs(_now_ms()),
    )
    for shelf in shelves:
        save_certified(shelf.disk.store, certified)


def _pseudonym_key(shelf: Shelf) -> bytes:
    epoch = shelf.genesis.pseudonym_epoch
    return next(held.key for held in shelf.keystore.pseudonym_keys if held.epoch == epoch)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
