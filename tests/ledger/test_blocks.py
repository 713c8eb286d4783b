from collections.abc import Callable
from dataclasses import replace

import pytest
from caretree.crypto.commitments import ZERO_SALT, leaf_commitment
from caretree.crypto.ed25519 import verify
from caretree.crypto.suite import NewerFormatError
from caretree.ledger.batches import (
    BATCH_BASE_BYTES,
    assemble_batch,
    batch_message,
    entry_bytes_max,
    parse_batch,
)
from caretree.ledger.blocks import (
    BATCHES_BYTES_MAX,
    NO_PARENT,
    block_ref,
    encode_block_header,
    encode_block_ref,
    genesis_block,
    parse_block,
    parse_block_header,
    parse_block_ref,
    strip_openings,
    with_openings,
)
from caretree.ledger.bodies import encode_body
from caretree.ledger.leaves import encode_entry_leaf
from caretree.ledger.values import NO_PEER, Batch, Block, BlockHeader, BlockRef, Opening
from caretree.model.errors import MalformedError, VerificationError
from caretree.model.ids import Digest, Height, PeerId, TimeMs
from caretree.model.limits import BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX, BODY_BYTES_MAX
from caretree.proto.ledger.v1 import block_pb2
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.builders import HOSPITAL, TOWN, FixedRandom, founders
from tests.ledger.samples import (
    GRANT,
    RECORD,
    batch_of,
    block_of,
    body_of,
    draft,
)

LEAF = encode_entry_leaf(Digest(b"\xaa" * 32))
HEADER = BlockHeader(
    height=Height(0x0102),
    parent=Digest(b"\xee" * 32),
    time_ms=TimeMs(0x0304),
    membership_epoch=5,
    ledger_version=6,
    leader=PeerId(7),
    batch_count=8,
)


def block_one() -> Block:
    """Block 1 with two entries by the town's peer and one by the hospital's."""
    consortium, random = founders(), FixedRandom(2)
    record, grant = (encode_body(body_of(happening)) for happening in (RECORD, GRANT))
    town = [
        draft(consortium, TOWN, record, random=random, payload=b"\x0a\x01x"),
        draft(consortium, TOWN, grant, random=random),
    ]
    hospital = [draft(consortium, HOSPITAL, record, random=random, payload=b"\x0a\x01y")]
    return block_of(
        consortium,
        [batch_of(consortium, TOWN, town), batch_of(consortium, HOSPITAL, hospital)],
    )


def openings(block: Block) -> list[Opening]:
    """All openings of a block, in the order of its entries."""
    return [opening for batch in block.batches for opening in batch.openings]


def large_batch(count: int, *, body: bytes = b"b") -> Batch:
    """A batch of so many equal entries, signed by nobody."""
    return assemble_batch(
        author=PeerId(9),
        leaves=(LEAF,) * count,
        signature=bytes(64),
        openings=(Opening(salt=bytes(32), body=body, payload=None),) * count,
    )


def test_a_header_is_74_bytes_in_the_documented_order() -> None:
    encoded = encode_block_header(HEADER)

    assert encoded.hex() == (
        "0101"
        + "0000000000000102"
        + "ee" * 32
        + "0000000000000304"
        + "0000000000000005"
        + "00000006"
        + "0000000000000007"
        + "00000008"
    )
    assert len(encoded) == 74
    assert parse_block_header(encoded) == HEADER


def test_a_newer_header_is_named_as_newer() -> None:
    with pytest.raises(NewerFormatError):
        parse_block_header(b"\x02" + encode_block_header(HEADER)[1:])


def test_a_reference_is_height_and_hash() -> None:
    ref = BlockRef(height=Height(3), hash=Digest(b"\xcc" * 32))

    assert encode_block_ref(ref).hex() == "0000000000000003" + "cc" * 32
    assert parse_block_ref(encode_block_ref(ref)) == ref
    with pytest.raises(MalformedError):
        parse_block_ref(encode_block_ref(ref) + b"\0")


def test_the_hash_of_a_block_is_what_it_was() -> None:
    assert (
        block_one().hash.hex() == "cc4e2f0b06470eb6a2fab28be91218ce281e36547094d448e65c553839195321"
    )


def test_the_hash_of_block_0_is_what_it_was() -> None:
    assert (
        genesis_block(founders().genesis).hash.hex()
        == "06a1987acfab6ce58a64482f40680ab1165e3659752e5aeb7ed6f64b8ded415c"
    )


def test_a_batch_message_is_label_origin_author_and_leaves() -> None:
    origin = founders().origin
    message = batch_message(origin=origin, author=PeerId(9), leaves=[LEAF, LEAF])

    inner = (b"\0\0\0\x23" + LEAF) * 2
    parts = (b"caretree/v1/batch", origin.encode(), bytes(7) + b"\x09", inner)
    assert message == b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def test_a_block_is_read_back_as_written() -> None:
    block = block_one()

    assert parse_block(block.encoded) == block
    assert block.entry_count == 3
    assert block_ref(block) == BlockRef(height=Height(1), hash=block.hash)


def test_each_batch_passes_through_a_block_untouched() -> None:
    block = block_one()

    carried = block_pb2.Block.FromString(block.encoded).batches
    assert list(carried) == [batch.encoded for batch in block.batches]
    assert [parse_batch(batch) for batch in carried] == list(block.batches)


def test_the_author_peer_signed_its_leaves_and_no_others() -> None:
    consortium = founders()
    for batch, member in zip(block_one().batches, (TOWN, HOSPITAL), strict=True):
        key = consortium[member].peer.batch.public_key
        origin = consortium.origin
        verify(
            key,
            batch_message(origin=origin, author=batch.author, leaves=batch.leaves),
            batch.signature,
        )
        more = (*batch.leaves, LEAF)
        with pytest.raises(VerificationError):
            verify(
                key, batch_message(origin=origin, author=batch.author, leaves=more), batch.signature
            )


def test_a_stored_block_has_no_openings_and_the_same_hash() -> None:
    block = block_one()

    stored = parse_block(strip_openings(block))

    assert openings(stored) == []
    assert stored.hash == block.hash
    body = openings(block)[0].body
    assert body is not None
    assert body not in stored.encoded


def test_a_stored_block_with_its_openings_is_the_block_again() -> None:
    block = block_one()

    again = with_openings(parse_block(strip_openings(block)), openings(block))

    assert again == block


def test_holes_are_carried_and_keep_the_hash() -> None:
    block = block_one()
    erased = openings(block)
    erased[0] = Opening(salt=b"", body=None, payload=None, payload_erased=True)
    erased[1] = Opening(salt=b"", body=None, payload=None)
    erased[2] = replace(erased[2], payload=None, payload_erased=True)

    carried = parse_block(with_openings(block, erased).encoded)

    assert openings(carried) == erased
    assert carried.hash == block.hash


def test_block_0_follows_from_the_genesis() -> None:
    genesis = founders().genesis
    block = genesis_block(genesis)

    assert block.header == BlockHeader(
        height=Height(0),
        parent=NO_PARENT,
        time_ms=genesis.time_ms,
        membership_epoch=1,
        ledger_version=1,
        leader=NO_PEER,
        batch_count=1,
    )
    commitment = leaf_commitment(
        origin=genesis.origin, author_peer=None, salt=ZERO_SALT, body=genesis.encoded
    )
    assert block.batches[0].leaves == (encode_entry_leaf(commitment),)
    assert block.batches[0].signature == b""
    assert openings(block) == [Opening(salt=ZERO_SALT, body=genesis.encoded, payload=None)]
    assert parse_block(block.encoded) == block


def test_4096_entries_are_taken_and_one_more_is_refused() -> None:
    consortium = founders()
    full = block_of(consortium, [large_batch(BLOCK_ENTRIES_MAX)])
    assert parse_block(full.encoded).entry_count == BLOCK_ENTRIES_MAX

    over = [large_batch(BLOCK_ENTRIES_MAX), large_batch(1)]
    with pytest.raises(MalformedError, match=f"at most {BLOCK_ENTRIES_MAX} entries"):
        block_of(consortium, over)
    header = replace(full.header, batch_count=2)
    message = block_pb2.Block(
        header=encode_block_header(header), batches=[batch.encoded for batch in over]
    )
    with pytest.raises(MalformedError, match=f"at most {BLOCK_ENTRIES_MAX} entries"):
        parse_block(message.SerializeToString())


def test_4_mib_are_taken_and_one_byte_more_is_refused() -> None:
    consortium = founders()
    full = [large_batch(1, body=bytes(BODY_BYTES_MAX)) for _ in range(253)]
    room = BLOCK_BYTES_MAX - len(block_of(consortium, full).encoded)
    probe = large_batch(1, body=bytes(10_000))
    filler = large_batch(1, body=bytes(10_000 + room - len(probe.encoded) - 3))

    largest = block_of(consortium, [*full, filler])
    assert len(largest.encoded) == BLOCK_BYTES_MAX
    assert parse_block(largest.encoded) == largest
    body = filler.openings[0].body
    assert body is not None
    with pytest.raises(MalformedError, match=f"at most {BLOCK_BYTES_MAX} bytes"):
        block_of(consortium, [*full, large_batch(1, body=body + b"\0")])
    with pytest.raises(MalformedError, match=f"at most {BLOCK_BYTES_MAX} bytes"):
        parse_block(bytes(BLOCK_BYTES_MAX + 1))


@pytest.mark.parametrize("count", [1, 100, BLOCK_ENTRIES_MAX])
@pytest.mark.parametrize("body_bytes", [0, 127, 128, 600])
def test_the_accounting_never_falls_short(count: int, body_bytes: int) -> None:
    opening = Opening(
        salt=bytes(32), body=bytes(body_bytes), payload=bytes(200), payload_erased=False
    )
    batch = assemble_batch(
        author=PeerId(2**64 - 1),
        leaves=(LEAF,) * count,
        signature=bytes(64),
        openings=(opening,) * count,
    )

    counted = BATCH_BASE_BYTES + count * entry_bytes_max(opening)
    block_bytes = len(block_of(founders(), [batch]).encoded)

    assert block_bytes <= counted + BLOCK_BYTES_MAX - BATCHES_BYTES_MAX
    assert counted <= block_bytes + 10 + 30 * count


BatchEdit = Callable[[block_pb2.Batch], object]


def without_author(message: block_pb2.Batch) -> None:
    """Take author and signature from a batch."""
    message.header = message.header[:2] + bytes(8) + message.header[10:]
    message.signature = b""


REFUSED: dict[str, tuple[BatchEdit, str]] = {
    "newer version": (
        lambda m: setattr(m, "header", b"\x02" + m.header[1:]),
        "batch.header.version",
    ),
    "other suite": (
        lambda m: setattr(m, "header", b"\x01\x02" + m.header[2:]),
        "batch.header.suite",
    ),
    "short header": (lambda m: setattr(m, "header", m.header[:-1]), "batch.header"),
    "no entries": (
        lambda m: setattr(m, "header", m.header[:-4] + bytes(4)),
        "batch.header entries",
    ),
    "count above leaves": (
        lambda m: setattr(m, "header", m.header[:-4] + b"\0\0\0\x03"),
        "batch.leaves",
    ),
    "long leaf": (lambda m: m.leaves.__setitem__(0, LEAF + b"\0"), "batch.leaves"),
    "no signature": (lambda m: m.ClearField("signature"), "batch.signature"),
    "long signature": (lambda m: setattr(m, "signature", bytes(65)), "batch.signature"),
    "some openings": (lambda m: m.openings.pop(), "batch.openings"),
    "short salt": (lambda m: setattr(m.openings[0], "salt", bytes(31)), "opening.salt"),
    "long body": (
        lambda m: setattr(m.openings[0], "body", bytes(BODY_BYTES_MAX + 1)),
        "opening.body",
    ),
    "long payload": (
        lambda m: setattr(m.openings[0], "payload", bytes(300 * 1024)),
        "opening.payload",
    ),
    "payload beside its hole": (
        lambda m: setattr(m.openings[0], "payload_hole", True),
        "opening.payload",
    ),
    "body beside its hole": (
        lambda m: setattr(m.openings[1], "body_hole", True),
        "opening.body_hole",
    ),
    "hidden field": (lambda m: m.openings[1].MergeFromString(b"\xc2\x3e\x01x"), "batch"),
    "nobody's": (without_author, "batch.header"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_batch_that_breaks_a_rule_is_refused_by_its_field(name: str) -> None:
    edit, field = REFUSED[name]
    block = block_one()
    message = block_pb2.Batch.FromString(block.batches[0].encoded)
    edit(message)
    carried = block_pb2.Block.FromString(block.encoded)
    carried.batches[0] = message.SerializeToString()

    with pytest.raises(MalformedError) as refused:
        parse_block(carried.SerializeToString())

    assert refused.value.field == field


def test_a_block_with_other_batches_than_its_header_says_is_refused() -> None:
    carried = block_pb2.Block.FromString(block_one().encoded)
    del carried.batches[1]

    with pytest.raises(MalformedError, match="expected 2, found 1"):
        parse_block(carried.SerializeToString())


def test_the_hash_changes_with_every_byte_of_header_leaves_and_signatures() -> None:
    original = block_one()
    stored = strip_openings(original)
    kept: list[int] = []
    for place in range(0, len(stored), 7):
        changed = bytearray(stored)
        changed[place] ^= 1
        try:
            if parse_block(bytes(changed)).hash == original.hash:
                kept.append(place)
        except MalformedError:
            continue

    assert kept == []


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_as_malformed(content: bytes) -> None:
    for parse in (parse_block, parse_batch):
        with pytest.raises(MalformedError):
            parse(content)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_raises_nothing_but_malformed(place: int, flip: int) -> None:
    encoded = bytearray(block_one().encoded)
    encoded[place % len(encoded)] ^= flip

    try:
        changed = parse_block(bytes(encoded))
    except MalformedError:
        return

    assert changed != block_one()
