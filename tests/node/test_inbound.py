"""What other peers say: junk ends a stream and nothing more, whatever it is."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import cast

import pytest
from caretree.crypto.ed25519 import verify
from caretree.ledger.blocks import block_ref, encode_block_ref, with_openings
from caretree.ledger.certificate import certification, sign_lines
from caretree.ledger.holding import never_held
from caretree.ledger.holes import HOLE_MARK, is_justified
from caretree.ledger.row_keys import entry_key
from caretree.ledger.rows import encode_outcomes
from caretree.ledger.values import Block, BlockRef, Opening, Outcome
from caretree.merkle.checkpoint import Checkpoint
from caretree.merkle.lines import SignatureLine, format_line
from caretree.model.ids import Digest, Height, LogIndex, PeerId, Place, Term, TreeSize
from caretree.model.limits import CLOCK_AHEAD_MS_MAX
from caretree.node.certifier import Certifier
from caretree.node.clock import VoterClocks
from caretree.node.consensus import Consensus
from caretree.node.inbound import NOT_HELD_MAX, SIGNATURE_LINES_MAX, Inbound, InboundParts
from caretree.node.peer_codec import encode_raft
from caretree.node.pool import HeldBatch
from caretree.node.transport import LostMessageError
from caretree.proto.peer.v1 import peer_pb2
from caretree.raft.messages import ConfState, Entry, Message, MessageType, SnapshotMeta
from caretree.storage.keys import Table
from caretree.storage.ports import Batch
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN, founders
from tests.ledger.people import PATIENT
from tests.ledger.worlds import World
from tests.node.bench import Bench, FixedClock, log_to, metrics, row
from tests.node.test_applier import flipped

LEADER = founders()[HOSPITAL].peer.peer
OWN = founders()[TOWN].peer.peer
GENESIS = founders().genesis


@dataclass(slots=True)
class Taken:
    """What was let through."""

    raft: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(term=1))
    messages: list[Message] = field(default_factory=list)
    batches: list[HeldBatch] = field(default_factory=list)
    refusals: list[bytes] = field(default_factory=list)
    spread: list[tuple[int, int]] = field(default_factory=list)

    held = staticmethod(never_held)

    async def take(self, message: Message) -> None:
        self.messages.append(message)

    def offered(self, sender: PeerId, held: HeldBatch) -> None:
        assert sender == LEADER
        self.batches.append(held)

    def refused(self, sender: PeerId, signature: bytes, *, retry_after_ms: int) -> None:
        assert (sender, retry_after_ms) == (LEADER, 500)
        self.refusals.append(signature)


class Door:
    """An inbound whose peer is at block 0."""

    def __init__(self) -> None:
        self.world = World()
        self.bench = Bench()
        self.clock = FixedClock()
        self.taken = Taken()
        self.log_end = LogIndex(7)
        self.metrics = metrics()
        self.lines: list[bytes] = []
        self.certifier = Certifier(
            certification(GENESIS),
            self.clock,
            own_root=lambda _: None,
            newest=None,
            check=verify,
            metrics=self.metrics,
            log=log_to(self.lines),
        )
        self.inbound = Inbound(
            InboundParts(
                genesis=GENESIS,
                store=self.bench.store,
                stage=self.bench.stage,
                consensus=cast("Consensus", self.taken),
                certifier=self.certifier,
                check=verify,
                clocks=VoterClocks(self.clock),
                clock=self.clock,
                batches=self.taken,
                metrics=self.metrics,
                log=log_to(self.lines),
                spread=self._spread,
                holes_allowed=self._hole_allowed,
                head=lambda: self.bench.applier.head,
                log_end=lambda: self.log_end,
            )
        )

    def _spread(self, size: TreeSize, _root: Digest, lines: Sequence[SignatureLine]) -> None:
        self.taken.spread.append((size, len(lines)))

    def _hole_allowed(self, height: Height, digest: Digest, place: Place) -> bool:
        return is_justified(self.bench.store, height, digest, place)

    def say(self, **message: object) -> None:
        said = peer_pb2.PeerMessage(**message)  # type: ignore[arg-type]
        request = peer_pb2.DeliverRequest(clock_ms=self.clock.ms, messages=[said])
        asyncio.run(self.inbound.receive(LEADER, request))

    def say_lost(self, **message: object) -> str:
        with pytest.raises(LostMessageError) as caught:
            self.say(**message)
        return str(caught.value)

    def mark_an_erasure_below(self, block: Block) -> None:
        """Something was erased before this block, in an entry that is none of its own."""
        ref = BlockRef(height=block.header.height, hash=Digest(bytes(32)))
        batch = Batch()
        batch.put(Table.HOLE, entry_key(ref, Place(0)), HOLE_MARK)
        self.bench.store.write(batch, sync=True)

    def block(self, *, ahead_ms: int = 0) -> Block:
        batch = self.world.batch(TOWN, self.world.denial(TOWN, PATIENT))
        return self.world.block(batch, time_ms=self.clock.ms + ahead_ms)

    def append(self, *refs: BlockRef, term: int = 1) -> None:
        entries = tuple(
            row(index, term=term, data=encode_block_ref(ref)) for index, ref in enumerate(refs, 1)
        )
        self.say(raft=encode_raft(append_of(entries, term=term)))


def append_of(entries: tuple[Entry, ...], *, term: int = 1) -> Message:
    return Message(
        type=MessageType.APP,
        sender=LEADER,
        to=OWN,
        term=Term(term),
        entries=entries,
        commit=LogIndex(0),
    )


def carried(block: Block, *, outcomes: bytes = b"") -> peer_pb2.BlockBytes:
    return peer_pb2.BlockBytes(block=block.encoded, outcomes=outcomes)


def spoiled(block: Block) -> Block:
    """The block with a bit of its first body changed."""
    first, *rest = (opening for batch in block.batches for opening in batch.openings)
    assert first.body is not None
    return with_openings(block, [replace(first, body=flipped(first.body, at=-1)), *rest])


def holed(block: Block) -> Block:
    """The block without its bodies."""
    gone = Opening(salt=b"", body=None, payload=None, payload_erased=True)
    return with_openings(block, [gone] * block.entry_count)


def test_an_append_is_let_through_once_its_block_is_held() -> None:
    door = Door()
    block = door.block()
    assert "not held" in door.say_lost(raft=encode_raft(append_of((named(block),))))
    door.say(block=carried(block))
    door.append(block_ref(block))
    assert [len(message.entries) for message in door.taken.messages] == [1]


def named(block: Block) -> Entry:
    return row(1, data=encode_block_ref(block_ref(block)))


def test_an_append_of_a_block_in_the_store_is_let_through() -> None:
    door = Door()
    block = door.block()
    door.bench.write(door.world.hold(block), staged=False)
    door.append(block_ref(block))
    assert len(door.taken.messages) == 1


def test_messages_without_blocks_are_let_through() -> None:
    door = Door()
    door.say(raft=encode_raft(append_of((row(1),))))
    door.say(raft=encode_raft(replace(append_of(()), type=MessageType.HEARTBEAT)))
    assert len(door.taken.messages) == 2


def test_a_heartbeat_commits_up_to_the_log_s_end_and_is_lost_beyond_it() -> None:
    door = Door()

    def passes(*, term: int, commit: int) -> bool:
        before = len(door.taken.messages)
        beat = replace(append_of((), term=term), type=MessageType.HEARTBEAT)
        door.say(raft=encode_raft(replace(beat, commit=LogIndex(commit))))
        return len(door.taken.messages) > before

    for term in (1, 9):
        assert passes(term=term, commit=7)
        assert not passes(term=term, commit=8)
        assert not passes(term=term, commit=2**63)
    # What the watermark says it had, the core may miss: it is not kept from it.
    door.log_end = LogIndex(9)
    assert passes(term=9, commit=9)
    assert sum(b"never acknowledged" in line for line in door.lines) == 2


def test_a_block_so_far_ahead_is_acknowledged_and_one_further_ahead_is_not() -> None:
    for ahead, let_through in ((CLOCK_AHEAD_MS_MAX, 1), (CLOCK_AHEAD_MS_MAX + 1, 0)):
        door = Door()
        block = door.block(ahead_ms=ahead)
        door.say(block=carried(block))
        door.append(block_ref(block))
        assert len(door.taken.messages) == let_through
        door.clock.ms += 1
        door.append(block_ref(block))
        assert len(door.taken.messages) == let_through + 1


def test_after_three_blocks_in_a_row_that_do_not_fit_the_leader_is_not_answered_in_its_term() -> (
    None
):
    door = Door()
    for _ in range(NOT_HELD_MAX - 1):
        door.say_lost(block=carried(spoiled(door.block())))
    door.say(block=carried(door.block()))  # one that fits: the count begins anew
    for _ in range(NOT_HELD_MAX - 1):
        door.say_lost(block=carried(spoiled(door.block())))
    door.append()
    assert len(door.taken.messages) == 1
    door.say_lost(block=carried(spoiled(door.block())))
    door.append()
    assert len(door.taken.messages) == 1
    door.append(term=2)
    assert len(door.taken.messages) == 2


def test_a_hole_is_held_neither_without_a_mark_nor_below_no_certified_size() -> None:
    door = Door()
    block = door.block()
    outcomes = encode_outcomes((Outcome.APPLIED,))
    assert "missing" in door.say_lost(block=carried(holed(block)))
    assert "erased" in door.say_lost(block=carried(holed(block), outcomes=outcomes))
    door.mark_an_erasure_below(block)
    assert "not certified" in door.say_lost(block=carried(holed(block), outcomes=outcomes))
    door.say(signatures=signed(TreeSize(9), b"r" * 32, TOWN, HOSPITAL))
    assert door.certifier.largest_size == 9
    assert "missing" in door.say_lost(block=carried(holed(block), outcomes=outcomes))


def test_outcomes_that_a_leader_makes_up_are_not_taken_while_nothing_was_erased() -> None:
    door = Door()
    block = door.block()
    door.say(signatures=signed(TreeSize(9), b"r" * 32, TOWN, HOSPITAL))
    outcomes = encode_outcomes((Outcome.NOT_PERMITTED,))
    assert "erased" in door.say_lost(block=carried(block, outcomes=outcomes))
    door.say(block=carried(block))


def test_a_snapshot_ends_the_stream_and_never_reaches_the_core() -> None:
    door = Door()
    snapshot = SnapshotMeta(
        index=LogIndex(9), term=Term(1), conf_state=ConfState(voters=(LEADER, OWN)), data=b""
    )
    message = replace(append_of(()), type=MessageType.SNAP, snapshot=snapshot)
    assert "snapshot" in door.say_lost(raft=encode_raft(message))
    assert door.taken.messages == []


def signed(size: TreeSize, root: bytes, *members: str) -> peer_pb2.Signatures:
    checkpoint = Checkpoint(origin=GENESIS.origin, size=size, root=Digest(root))
    lines = [
        line
        for founder in founders().founders
        if founder.member in members
        for line in sign_lines(
            checkpoint,
            peer=founder.as_peer(),
            sign_log=founder.peer.log.sign,
            sign_cosigner=founder.peer.cosigner.sign,
            time_s=1_800_000_000,
        )
    ]
    return peer_pb2.Signatures(
        tree_size=size, root=root, lines=[format_line(line).rstrip("\n") for line in lines]
    )


def test_signature_lines_that_are_news_are_spread_and_others_are_not() -> None:
    door = Door()
    door.say(signatures=signed(TreeSize(9), b"r" * 32, TOWN))
    door.say(signatures=signed(TreeSize(9), b"r" * 32, TOWN))
    door.say(signatures=signed(TreeSize(9), b"r" * 32, TOWN, OFFICE))
    assert door.taken.spread == [(9, 2), (9, 4)]


def test_so_many_signature_lines_are_taken_and_one_more_is_not() -> None:
    door = Door()
    lines = list(signed(TreeSize(9), b"r" * 32, TOWN).lines)
    many = (lines * SIGNATURE_LINES_MAX)[:SIGNATURE_LINES_MAX]
    door.say(signatures=peer_pb2.Signatures(tree_size=9, root=b"r" * 32, lines=many))
    above = peer_pb2.Signatures(tree_size=9, root=b"r" * 32, lines=[*many, lines[0]])
    assert "at most" in door.say_lost(signatures=above)


@pytest.mark.parametrize("size", [0, 2**63, 2**64 - 1])
@pytest.mark.parametrize("root", [b"", b"r" * 31, b"r" * 32, b"r" * 33])
def test_signatures_over_what_is_no_checkpoint_end_the_stream_at_most(
    size: int, root: bytes
) -> None:
    door = Door()
    line = signed(TreeSize(9), b"r" * 32, TOWN).lines[0]
    for lines in ([], [line], ["no line"], ["— x AAAA"]):
        said = peer_pb2.Signatures(tree_size=size, root=root, lines=lines)
        try:
            door.say(signatures=said)
        except LostMessageError:
            continue
    assert door.certifier.newest is None
    assert door.certifier.largest_size == 0


def test_a_refusal_reaches_the_author() -> None:
    door = Door()
    door.say(batch_refused=peer_pb2.BatchRefused(signature=b"s", retry_after_ms=500))
    assert door.taken.refusals == [b"s"]


def test_a_batch_reaches_the_pool_when_it_fits() -> None:
    door = Door()
    batch = door.world.batch(HOSPITAL, door.world.denial(HOSPITAL, PATIENT))
    door.say(batch=peer_pb2.BatchBytes(batch=batch.encoded))
    door.say_lost(batch=peer_pb2.BatchBytes(batch=flipped(batch.encoded, at=60)))
    assert [held.batch for held in door.taken.batches] == [batch]


JUNK: st.SearchStrategy[dict[str, object]] = st.one_of(
    st.builds(
        lambda b, o: {"block": peer_pb2.BlockBytes(block=b, outcomes=o)},
        st.binary(max_size=300),
        st.binary(max_size=4),
    ),
    st.builds(lambda b: {"batch": peer_pb2.BatchBytes(batch=b)}, st.binary(max_size=300)),
    st.builds(
        lambda kind, data: {
            "raft": peer_pb2.RaftMessage(
                type=kind, to=OWN, term=1, entries=[peer_pb2.RaftEntry(type=1, data=data)]
            )
        },
        st.integers(min_value=0, max_value=20),
        st.binary(min_size=1, max_size=60),
    ),
    st.builds(
        lambda size, root, lines: {
            "signatures": peer_pb2.Signatures(tree_size=size, root=root, lines=lines)
        },
        st.integers(min_value=0, max_value=2**64 - 1),
        st.binary(max_size=40),
        st.lists(st.text(max_size=40), max_size=3),
    ),
    st.just({}),
)


@given(JUNK)
def test_junk_ends_the_stream_and_never_the_peer(junk: dict[str, object]) -> None:
    door = Door()
    try:
        door.say(**junk)
    except LostMessageError:
        return


@given(st.data())
def test_a_block_with_any_bit_changed_is_lost_or_another_one_that_fits(data: st.DataObject) -> None:
    door = Door()
    block = door.block()
    at = data.draw(st.integers(min_value=0, max_value=len(block.encoded) - 1))
    bit = data.draw(st.integers(min_value=0, max_value=7))
    changed = bytearray(block.encoded)
    changed[at] ^= 1 << bit
    try:
        door.say(block=peer_pb2.BlockBytes(block=bytes(changed)))
    except LostMessageError:
        return
    assert door.bench.stage.get(block_ref(block)) is None
