"""Receipts, proofs and tiles as a peer gives them out: of its own member, and certified, alone."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from caretree.crypto.ed25519 import verify
from caretree.ledger.certificate import certification, certification_policy
from caretree.ledger.receipts import verify_receipt
from caretree.ledger.values import EntryKind
from caretree.merkle.note import parse_note
from caretree.merkle.policy import verify_checkpoint
from caretree.merkle.verify import verify_consistency
from caretree.model.ids import LeafIndex, RecordId, RequestId, TreeSize
from caretree.model.reasons import Reason
from caretree.node.certified_store import load_certified, save_certified
from caretree.node.certifier import Certified
from caretree.storage.errors import StorageLostError
from caretree.storage.keys import Table
from caretree.storage.memory import MemoryStore
from caretree.storage.ports import Batch

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.node.asking import add, append, grant, refused
from tests.node.cluster import Seats, cluster, level, record
from tests.node.test_applier import flipped

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seats(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seats]:
    """One cluster for all tests of this module."""
    async with cluster(tmp_path_factory.mktemp("proofs")) as running:
        yield running


async def test_a_receipt_is_had_by_record_request_and_leaf_and_only_by_its_member(
    seats: Seats,
) -> None:
    town = seats[TOWN]
    (added,) = await append(town, record("P1", b"x", request=b"request-p-------"))
    given = await grant(town, "P1", HOSPITAL)
    await level(seats.values())
    leaf = added.entry.position.leaf_index
    by_leaf = town.peer.receipt_of_leaf(leaf)
    by_request = town.peer.receipt_of_request(RequestId(b"request-p-------"))
    by_record = town.peer.receipt_of_record(added.record_id)
    assert by_record.receipt == by_leaf.receipt == by_request.receipt
    assert by_record.position == added.entry.position
    told = verify_receipt(by_leaf.receipt, certification_policy(town.genesis), verify)
    assert told.record_id == added.record_id
    about_grant = town.peer.receipt_of_leaf(given.entry.position.leaf_index)
    told = verify_receipt(about_grant.receipt, certification_policy(town.genesis), verify)
    assert told.kind is EntryKind.GRANT
    for other in (seats[HOSPITAL].peer, seats[OFFICE].peer):
        with refused(Reason.UNKNOWN_ENTRY):
            other.receipt_of_record(added.record_id)
        with refused(Reason.UNKNOWN_ENTRY):
            other.receipt_of_request(RequestId(b"request-p-------"))
        with refused(Reason.UNKNOWN_ENTRY):
            other.receipt_of_leaf(leaf)


async def test_what_is_no_entry_has_no_receipt(seats: Seats) -> None:
    town = seats[TOWN]
    added = await add(town, "P2")
    seal = added.entry.position.leaf_index + 1
    for leaf in (seal, 0, 1, 2**62, 2**63, 2**64 - 1):
        with refused(Reason.UNKNOWN_ENTRY):
            town.peer.receipt_of_leaf(LeafIndex(leaf))
    with refused(Reason.UNKNOWN_ENTRY):
        town.peer.receipt_of_record(RecordId(b"n" * 16))
    with refused(Reason.UNKNOWN_ENTRY):
        town.peer.receipt_of_request(RequestId(b"n" * 16))


async def test_checkpoints_are_certified_and_consistent(seats: Seats) -> None:
    town = seats[TOWN]
    policy = certification_policy(town.genesis)
    await add(town, "P3")
    first = verify_checkpoint(parse_note(town.peer.checkpoint().note), policy, verify).checkpoint
    for _ in range(3):
        await add(town, "P3")
    second = verify_checkpoint(parse_note(town.peer.checkpoint().note), policy, verify).checkpoint
    for until in (second.size, None):
        proof, size = town.peer.consistency_proof(first.size, until)
        assert size == second.size
        verify_consistency(
            size1=first.size,
            root1=first.root,
            size2=second.size,
            root2=second.root,
            proof=proof,
        )
    for sizes in ((0, second.size), (second.size, first.size), (1, second.size + 1), (-1, 1)):
        with refused(Reason.INVALID_FIELD):
            town.peer.consistency_proof(TreeSize(sizes[0]), TreeSize(sizes[1]))


async def test_tiles_are_served_as_wide_as_the_certified_tree_and_no_wider(seats: Seats) -> None:
    town = seats[TOWN]
    await add(town, "P4")
    size = town.peer.checkpoint().tree_size
    assert size < 256
    whole = town.peer.tile(0, 0, size)
    assert whole is not None
    assert len(whole) == 32 * size
    assert town.peer.tile(0, 0, 1) == whole[:32]
    assert town.peer.entry_bundle(0, size) is not None
    for level_, index, width in ((0, 0, size + 1), (0, 0, 0), (0, 1, 1), (1, 0, 1), (0, 0, -1)):
        assert town.peer.tile(level_, index, width) is None
        if level_ == 0:
            assert town.peer.entry_bundle(index, width) is None


async def test_the_checkpoint_kept_is_taken_up_again_only_when_it_is_whole_and_applied(
    seats: Seats,
) -> None:
    town = seats[TOWN]
    await add(town, "P5")
    newest, head = town.parts.certifier.newest, town.parts.applier.head
    assert newest is not None
    rule, store = certification(town.genesis), MemoryStore()
    assert load_certified(store, rule, head) is None
    save_certified(store, newest)
    assert load_certified(store, rule, head) == newest
    earlier = replace(head, tree_size=TreeSize(newest.size - 1))
    assert load_certified(store, rule, earlier) is None
    damaged(store, newest)
    with pytest.raises(StorageLostError):
        load_certified(store, rule, head)


def damaged(store: MemoryStore, newest: Certified) -> None:
    """The kept note with a bit changed."""
    value = store.get(Table.SIGNED, b"newest")
    assert value is not None
    assert value.endswith(newest.note)
    batch = Batch()
    batch.put(Table.SIGNED, b"newest", flipped(value, at=20))
    store.write(batch, sync=True)
