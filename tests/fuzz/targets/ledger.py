"""What is hashed, stored and carried for ever: leaves, bodies, batches, blocks, receipts."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

from caretree.client.errors import InconsistentLogError
from caretree.client.trust import Trust
from caretree.crypto.ed25519 import verify as check_signature
from caretree.ledger.batches import parse_batch
from caretree.ledger.blocks import (
    encode_block_header,
    encode_block_ref,
    genesis_block,
    parse_block,
    parse_block_header,
    parse_block_ref,
    strip_openings,
)
from caretree.ledger.bodies import encode_body, parse_body, parse_body_strictly
from caretree.ledger.certificate import certification_policy, policy_text
from caretree.ledger.holding import NotHeldError, hold_batch, hold_block, no_holes
from caretree.ledger.leaves import (
    encode_entry_leaf,
    encode_seal_leaf,
    parse_entry_leaf,
    parse_seal_leaf,
)
from caretree.ledger.payloads import encode_payload, parse_payload
from caretree.ledger.receipt_text import describe
from caretree.ledger.receipts import build_receipt, parse_receipt, verify_receipt
from caretree.ledger.rows import encode_outcomes, parse_outcomes
from caretree.ledger.values import Batch, Block, BlockRef, Body
from caretree.merkle.note import format_note
from caretree.model.errors import MalformedError, VerificationError
from caretree.model.ids import Digest, Height

from tests.fuzz.target import Shape, Target
from tests.ledger.builders import HOSPITAL, TOWN, FixedRandom, founders
from tests.ledger.people import PATIENT
from tests.ledger.samples import HAPPENINGS, batch_of, block_of, body_of, draft, history
from tests.ledger.worlds import World

POLICY: Final = certification_policy(founders().genesis)
_RECEIPTS: Final = tuple(range(2, 11))


@cache
def sample_batch() -> Batch:
    """A batch of one entry of each kind; the records have payloads that do not fit."""
    random = FixedRandom(3)
    bodies = [encode_body(body_of(happening)) for happening in HAPPENINGS.values()]
    drafts = [draft(founders(), TOWN, body, random=random) for body in bodies]
    return batch_of(founders(), TOWN, drafts)


@cache
def held_block() -> Block:
    """A block that is held: a refused reading, by the town's peer."""
    world = World()
    return world.block(world.batch(TOWN, world.denial(TOWN, PATIENT)))


def two_batches() -> Block:
    """A block of batches by two peers."""
    random = FixedRandom(4)
    body = encode_body(body_of(HAPPENINGS["grant"]))
    other = batch_of(founders(), HOSPITAL, [draft(founders(), HOSPITAL, body, random=random)])
    return block_of(founders(), [sample_batch(), other])


def receipts() -> Iterator[bytes]:
    """A receipt of the genesis, of each kind of entry, and of one that was erased."""
    known = history()
    for index in (0, *_RECEIPTS):
        yield known.receipt(index)
    yield known.receipt(2, erased=True)


def _run_entry_leaf(data: bytes) -> None:
    assert encode_entry_leaf(parse_entry_leaf(data)) == data


def _run_seal_leaf(data: bytes) -> None:
    assert encode_seal_leaf(parse_seal_leaf(data)) == data


def _run_block_ref(data: bytes) -> None:
    assert encode_block_ref(parse_block_ref(data)) == data


def _run_block_header(data: bytes) -> None:
    assert encode_block_header(parse_block_header(data)) == data


def _run_payload(data: bytes) -> None:
    payload = parse_payload(data)
    again = encode_payload(sealed_content=payload.sealed_content, wrapped_key=payload.wrapped_key)
    assert parse_payload(again) == payload
    assert len(again) == len(data)


def _run_body(data: bytes) -> None:
    """What was parsed before, of whatever shape, changes nothing about what these bytes say."""
    _learn_shapes()
    assert _outcome(parse_body, data) == _outcome(parse_body_strictly, data)
    body = parse_body(data)
    again = encode_body(body)
    assert parse_body(again) == body
    assert len(again) == len(data)


@cache
def _learn_shapes() -> None:
    for happening in HAPPENINGS.values():
        parse_body(encode_body(body_of(happening)))


def _outcome(parse: Callable[[bytes], Body], data: bytes) -> Body | tuple[str, str]:
    try:
        return parse(data)
    except MalformedError as error:
        return error.field, error.expected


def _run_batch(data: bytes) -> None:
    batch = parse_batch(data)
    assert batch.encoded == data
    hold_batch(batch, founders().genesis)


def _run_block(data: bytes) -> None:
    block = parse_block(data)
    assert block.encoded == data
    stripped = parse_block(strip_openings(block))
    assert (stripped.hash, stripped.header) == (block.hash, block.header)
    hold_block(block, founders().genesis, recorded_outcomes=None, holes_allowed=no_holes)


def _run_outcomes(data: bytes) -> None:
    assert encode_outcomes(parse_outcomes(data)) == data


def _run_receipt(data: bytes) -> None:
    receipt = parse_receipt(data)
    again = build_receipt(
        leaf=receipt.leaf,
        leaf_index=receipt.leaf_index,
        proof=receipt.proof,
        author=receipt.author,
        salt=receipt.salt,
        body=receipt.body,
        seal=receipt.seal,
        previous_seal=receipt.previous_seal,
        note=format_note(receipt.note),
    )
    assert parse_receipt(again) == receipt
    verified = verify_receipt(data, POLICY, check_signature)
    assert all(label and text for label, text in describe(verified))
    trust = Trust(policy_text=policy_text(founders().genesis), origin=verified.origin)
    assert trust.receipt(data) == verified


_LEAF_ERRORS: Final = (MalformedError,)

TARGETS: Final = (
    Target(
        name="entry-leaf",
        run=_run_entry_leaf,
        errors=_LEAF_ERRORS,
        seeds=lambda: list(history().leaves[2:3]),
        covers=(parse_entry_leaf,),
    ),
    Target(
        name="seal-leaf",
        run=_run_seal_leaf,
        errors=_LEAF_ERRORS,
        seeds=lambda: [history().leaves[1]],
        covers=(parse_seal_leaf,),
    ),
    Target(
        name="block-reference",
        run=_run_block_ref,
        errors=_LEAF_ERRORS,
        seeds=lambda: [encode_block_ref(BlockRef(height=Height(7), hash=Digest(b"h" * 32)))],
        covers=(parse_block_ref,),
    ),
    Target(
        name="block-header",
        run=_run_block_header,
        errors=_LEAF_ERRORS,
        seeds=lambda: [two_batches().header_bytes],
        covers=(parse_block_header,),
    ),
    Target(
        name="payload",
        run=_run_payload,
        errors=_LEAF_ERRORS,
        seeds=lambda: [encode_payload(sealed_content=b"s" * 48, wrapped_key=b"w" * 62)],
        covers=(parse_payload,),
        shape=Shape.PROTO,
    ),
    Target(
        name="body",
        run=_run_body,
        errors=_LEAF_ERRORS,
        seeds=lambda: [encode_body(body_of(happening)) for happening in HAPPENINGS.values()],
        covers=(parse_body, parse_body_strictly),
        shape=Shape.PROTO,
    ),
    Target(
        name="batch",
        run=_run_batch,
        errors=(MalformedError, NotHeldError),
        seeds=lambda: [held_block().batches[0].encoded],
        covers=(parse_batch,),
        shape=Shape.PROTO,
    ),
    Target(
        name="block",
        run=_run_block,
        errors=(MalformedError, NotHeldError),
        seeds=lambda: [held_block().encoded],
        covers=(parse_block,),
        shape=Shape.PROTO,
    ),
    Target(
        name="block-parsed",
        run=parse_block,
        errors=(MalformedError,),
        seeds=lambda: [
            two_batches().encoded,
            strip_openings(two_batches()),
            genesis_block(founders().genesis).encoded,
        ],
        covers=(parse_block,),
        shape=Shape.PROTO,
    ),
    Target(
        name="outcomes",
        run=_run_outcomes,
        errors=_LEAF_ERRORS,
        seeds=lambda: [bytes(range(15))],
        covers=(parse_outcomes,),
    ),
    Target(
        name="receipt",
        run=_run_receipt,
        errors=(MalformedError, VerificationError, InconsistentLogError),
        seeds=receipts,
        covers=(parse_receipt, verify_receipt),
        shape=Shape.TEXT,
        words=(b"extra ", b"index ", b"\n\n", b"\xe2\x80\x94 "),
        may_show=(VerificationError,),
    ),
)
