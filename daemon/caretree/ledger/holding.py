"""Whether this peer HOLDS a block: for every leaf the body and payload that it commits to.

Holding and validity are two questions (ARCHITECTURE section 5). What is asked here is whether bytes
fit leaves; what does not is a lost message, whoever sent it, and is never acknowledged (INV-6).
Whether an entry may take effect is asked at apply, and a body that does not parse is one that takes
none.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from caretree.crypto.commitments import leaf_committer
from caretree.crypto.ed25519 import verify
from caretree.ledger.batches import batch_message
from caretree.ledger.blocks import BATCHES_BYTES_MAX, genesis_block
from caretree.ledger.bodies import parse_body
from caretree.ledger.genesis import Genesis
from caretree.ledger.leaves import encode_entry_leaf, parse_entry_leaf
from caretree.ledger.payloads import sealed_content_of
from caretree.ledger.values import (
    Batch,
    Block,
    Body,
    HeldBlock,
    HeldEntry,
    Opening,
    Outcome,
    Record,
)
from caretree.merkle.lines import SignatureCheck
from caretree.model.errors import MalformedError, RejectedError, VerificationError
from caretree.model.ids import Digest, Height, Origin, Place
from caretree.model.limits import BLOCK_ENTRIES_MAX

# A batch stands in its block behind a tag byte and a length of at most four bytes.
BATCH_BYTES_MAX: Final = BATCHES_BYTES_MAX - 5

HolesAllowed: TypeAlias = Callable[[Height, Place], bool]
HeldBefore: TypeAlias = Callable[[Batch], Sequence[HeldEntry] | None]


class NotHeldError(RejectedError):
    """A block or batch is not what its leaves commit to: a lost message."""

    def __init__(self, reason: str, *, place: Place | None = None) -> None:
        where = "" if place is None else f"entry {place}: "
        super().__init__(f"not held: {where}{reason}")
        self.place = place
        self.reason = reason


def no_holes(_height: Height, _place: Place) -> bool:
    """The rule for every block that is not certified yet: nothing may be missing."""
    return False


def never_held(_batch: Batch) -> None:
    """Where no batch was seen before."""


def hold_block(
    block: Block,
    rules: Genesis,
    *,
    recorded_outcomes: tuple[Outcome, ...] | None,
    holes_allowed: HolesAllowed,
    held: HeldBefore = never_held,
) -> HeldBlock:
    """The block with every entry opened and checked against its leaf.

    `held` gives the entries of a batch that was made or checked here before, byte for byte.

    `recorded_outcomes` are given for a block that was applied before, at or above the first height
    at which something was erased (see `holes.needs_recorded_outcomes`); None has apply decide.

    Raises:
        NotHeldError: something is missing, too much, or does not fit its leaf; or a hole stands
            where none may, or without the outcomes that were recorded.
    """
    height = block.header.height
    if recorded_outcomes is not None and len(recorded_outcomes) != block.entry_count:
        raise NotHeldError("other recorded outcomes than entries")
    entries: list[HeldEntry] = []
    for batch in block.batches:
        known = held(batch)
        if known is None:
            entries.extend(_hold_entries(batch, rules.origin, first=len(entries)))
        else:
            entries.extend(_moved(known, first=len(entries)))
    for entry in entries:
        if not _is_hole(entry.opening):
            continue
        if not holes_allowed(height, entry.place):
            raise NotHeldError("the body or payload is missing", place=entry.place)
        if recorded_outcomes is None:
            raise NotHeldError("a hole without recorded outcomes", place=entry.place)
    return HeldBlock(block=block, entries=tuple(entries), recorded_outcomes=recorded_outcomes)


def hold_batch(
    batch: Batch, rules: Genesis, *, check: SignatureCheck = verify
) -> tuple[HeldEntry, ...]:
    """The batch's entries opened, places counted from 0 within it: what a leader drafts from.

    A leader refuses at its door what would be void or malformed at apply.

    Raises:
        NotHeldError: the batch is larger than a block, its author is no peer of a member, its
            signature does not hold, or a leaf does not fit its opening.
        MalformedError: a body that does not parse.
    """
    check_batch_fits(batch)
    check_author(batch, rules, check=check)
    entries = tuple(_hold_entries(batch, rules.origin, first=0))
    for entry in entries:
        if _is_hole(entry.opening):
            raise NotHeldError("the body or payload is missing", place=entry.place)
        if entry.body is None and entry.opening.body is not None:
            parse_body(entry.opening.body)  # raises, and names the field
    return entries


def check_author(batch: Batch, rules: Genesis, *, check: SignatureCheck = verify) -> None:
    """Return when a peer of a member signed the batch's leaves in this order.

    Raises:
        NotHeldError: no member has this peer, or the signature does not hold.
    """
    peer = rules.peer(batch.author)
    if peer is None:
        raise NotHeldError("the author is no peer of a member")
    message = batch_message(origin=rules.origin, author=batch.author, leaves=batch.leaves)
    try:
        check(peer.batch_key, message, batch.signature)
    except VerificationError:
        raise NotHeldError("the author's signature does not hold") from None


def check_batch_fits(batch: Batch) -> None:
    """Return when a block with this batch alone would be within its limits.

    Raises:
        NotHeldError: it would not, and the batch could never be ordered.
    """
    if len(batch.leaves) > BLOCK_ENTRIES_MAX:
        raise NotHeldError(f"{len(batch.leaves)} entries, a block has at most {BLOCK_ENTRIES_MAX}")
    if len(batch.encoded) > BATCH_BYTES_MAX:
        raise NotHeldError(f"{len(batch.encoded)} bytes, a block has room for {BATCH_BYTES_MAX}")


def hold_genesis(rules: Genesis) -> HeldBlock:
    """Block 0, which every peer derives for itself; its one body is the genesis."""
    block = genesis_block(rules)
    (batch,) = block.batches
    entry = HeldEntry(
        place=Place(0),
        author=batch.author,
        leaf=batch.leaves[0],
        opening=batch.openings[0],
        body=None,
    )
    return HeldBlock(block=block, entries=(entry,), recorded_outcomes=(Outcome.APPLIED,))


def _hold_entries(batch: Batch, origin: Origin, *, first: int) -> Sequence[HeldEntry]:
    if len(batch.openings) != len(batch.leaves):
        raise NotHeldError("other openings than leaves")
    author = batch.author
    commit = leaf_committer(origin=origin, author_peer=author)
    return [
        HeldEntry(
            place=Place(place),
            author=author,
            leaf=leaf,
            opening=opening,
            body=_held_body(commit, leaf, opening, Place(place)),
        )
        for place, (leaf, opening) in enumerate(
            zip(batch.leaves, batch.openings, strict=True), start=first
        )
    ]


def _moved(entries: Sequence[HeldEntry], *, first: int) -> Iterable[HeldEntry]:
    """The entries of a batch, in the places that they have in a block."""
    if first == 0:
        return entries
    return (replace(entry, place=Place(first + entry.place)) for entry in entries)


def _held_body(
    commit: Callable[[bytes, bytes], Digest], leaf: bytes, opening: Opening, place: Place
) -> Body | None:
    """The body behind the leaf; None when it was erased or does not parse."""
    try:
        if opening.body is None:
            parse_entry_leaf(leaf)
            return None
        opened = commit(opening.salt, opening.body)
        # A leaf that is the commitment's, byte for byte, is an entry leaf, and need not be parsed.
        if leaf != encode_entry_leaf(opened) and parse_entry_leaf(leaf) != opened:
            raise NotHeldError("the opening is not what the leaf commits to", place=place)
    except MalformedError as error:
        raise NotHeldError(error.message, place=place) from error
    body = _parsed(opening.body)
    _check_payload(body, opening, place)
    return body


def _parsed(encoded: bytes) -> Body | None:
    try:
        return parse_body(encoded)
    except MalformedError:
        return None


def _check_payload(body: Body | None, opening: Opening, place: Place) -> None:
    record = body.happening if body is not None and isinstance(body.happening, Record) else None
    if record is None:
        if opening.payload is not None or opening.payload_erased:
            raise NotHeldError("a payload that no record names", place=place)
        return
    if opening.payload_erased:
        return
    if opening.payload is None:
        raise NotHeldError("a record without its payload", place=place)
    try:
        sealed_content = sealed_content_of(opening.payload)
    except MalformedError as error:
        raise NotHeldError(error.message, place=place) from error
    if hashlib.sha256(sealed_content).digest() != record.ciphertext_sha256:
        raise NotHeldError("the payload is not what the body names", place=place)


def _is_hole(opening: Opening) -> bool:
    return opening.body is None or opening.payload_erased
