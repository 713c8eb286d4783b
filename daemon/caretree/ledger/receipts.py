"""Receipts: one file that proves to anyone, offline, that an entry took effect (receipt.proto).

A receipt is a C2SP tlog-proof of the entry's leaf; its `extra` holds the opened entry, the seal of
its block and the seal of the block before.

What the two seals prove. Every block ends with its seal; every peer derives it, and no entry leaf
is as long as one, so a certified tree holds one seal for each height, in order. The leaves between
the seals of heights h - 1 and h are therefore the entries of block h and no others: an entry there
was ordered in block h, at its time. Block 0 begins the tree, and its seal at leaf index 1 is bound
enough.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from caretree.crypto.commitments import ZERO_SALT, leaf_commitment
from caretree.ledger.bodies import kind_of, parse_body
from caretree.ledger.genesis import Genesis, parse_genesis
from caretree.ledger.leaves import parse_entry_leaf, parse_seal_leaf
from caretree.ledger.receipt_files import (
    Receipt,
    SealProof,
    SplitReceipt,
    build_receipt,
    parse_receipt,
    split_receipt,
)
from caretree.ledger.values import Body, EntryKind, Record, Seal
from caretree.merkle.hashing import leaf_hash
from caretree.merkle.lines import SignatureCheck
from caretree.merkle.note import parse_note
from caretree.merkle.policy import Policy, VerifiedCheckpoint, verify_checkpoint
from caretree.merkle.verify import verify_inclusion
from caretree.model.errors import VerificationError
from caretree.model.ids import Digest, LeafIndex, MemberId, Origin, PeerId, RecordId, TreeSize
from caretree.model.limits import BLOCK_ENTRIES_MAX

__all__ = [
    "Cosigner",
    "Receipt",
    "ReceiptError",
    "ReceiptVerifier",
    "SealProof",
    "VerifiedReceipt",
    "build_receipt",
    "parse_receipt",
    "verify_receipt",
]

# What a verifier remembers: the newest notes, and of each tree the newest blocks' seals.
REMEMBERED_NOTES_MAX: Final = 16
REMEMBERED_SEALS_MAX: Final = 64

ValueT = TypeVar("ValueT")


class ReceiptError(VerificationError):
    """The parts of a receipt do not belong together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigner:
    """Who co-signed the checkpoint, by its key's name, and when by its own clock."""

    name: str
    time_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedReceipt:
    """What a receipt proves, no more (INV-18). Kind, author and body are None when erased."""

    origin: Origin
    tree_size: TreeSize
    root: Digest
    leaf_index: LeafIndex
    seal: Seal  # of the block in which the entry was ordered: its height, its exact time
    kind: EntryKind | None
    author: PeerId | None
    body: Body | None
    genesis: Genesis | None
    cosigners: tuple[Cosigner, ...]

    @property
    def record(self) -> Record | None:
        """The record that was added, when the receipt is a record's and was not erased."""
        happening = None if self.body is None else self.body.happening
        return happening if isinstance(happening, Record) else None

    @property
    def record_id(self) -> RecordId | None:
        """The record's id, as for `record`."""
        return None if self.record is None else self.record.record_id

    @property
    def custodian(self) -> MemberId | None:
        """The record's custodian, as for `record`."""
        return None if self.record is None else self.record.custodian


def verify_receipt(file: bytes, policy: Policy, check: SignatureCheck) -> VerifiedReceipt:
    """What the receipt proves; as `ReceiptVerifier.verify`, for one receipt.

    Raises:
        MalformedError, VerificationError: it proves nothing.
    """
    return ReceiptVerifier(policy, check).verify(file)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seals:
    """A block's seals, found to follow one another and to be in one tree."""

    seal: Seal
    first_index: LeafIndex  # where the block begins: behind the seal of the one before
    last_index: LeafIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """What a receipt says of its block's seals, not verified yet."""

    seals: _Seals
    previous: Seal | None
    proofs: tuple[SealProof, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tree:
    """A tree whose note the policy accepts, and the seals that were found in it."""

    trusted: VerifiedCheckpoint
    cosigners: tuple[Cosigner, ...]
    seals: OrderedDict[bytes, _Seals] = field(default_factory=OrderedDict)


class ReceiptVerifier:
    """Verifies receipts under one policy. What receipts have in common is verified once.

    Remembered are notes that the policy accepts and, in their trees, pairs of seals: by their exact
    bytes, the good alone, the newest few. So whatever differs in one bit from what was verified is
    verified itself, and a receipt's own entry always is. For one thread at a time.
    """

    __slots__ = ("_check", "_policy", "_trees")

    def __init__(self, policy: Policy, check: SignatureCheck) -> None:
        self._policy = policy
        self._check = check
        self._trees: OrderedDict[bytes, _Tree] = OrderedDict()

    def verify(self, file: bytes, *, parsed: Mapping[bytes, Body] | None = None) -> VerifiedReceipt:
        """What the receipt proves, once all of the following holds.

        1. the file is a tlog-proof whose extra is a receipt's: an entry leaf, a seal leaf, and
           unless the block begins at leaf index 0 the leaf of a previous seal;
        2. its checkpoint is signed as the policy asks: one 0x01 line and the quorum of 0x04 lines;
        3. the entry leaf is in the checkpoint's tree at its index;
        4. the leaf commits to origin, author, salt and body, or body and salt were erased;
        5. the body is one that an entry can have, and it is the genesis exactly at leaf index 0;
        6. the seals are those of consecutive heights and rising times, the entry stands between
           them, they are at most a block apart, and where seals of their heights can be; height 0
           alone has no previous seal;
        7. both seal leaves are in the same tree, the previous one right before the block's first
           leaf.

        `parsed` are bodies that the caller has parsed already, by their bytes.

        Raises:
            MalformedError: steps 1 and 5, or a proof that none can be.
            VerificationError: steps 2 to 7.
        """
        receipt = split_receipt(file)  # 1
        commitment = parse_entry_leaf(receipt.leaf)
        tree = self._trees.get(receipt.note)
        key = receipt.seals_key()
        seals = None if tree is None else tree.seals.get(key)
        claim = _parse_seals(receipt) if seals is None else None
        if tree is None:
            tree = self._verify_note(receipt.note)  # 2
        checkpoint = tree.trusted.checkpoint
        verify_inclusion(  # 3
            index=receipt.leaf_index,
            size=checkpoint.size,
            leaf_hash=leaf_hash(receipt.leaf),
            proof=receipt.proof,
            root=checkpoint.root,
        )
        _check_commitment(receipt, commitment, checkpoint.origin)  # 4
        body, genesis = _open_body(receipt, checkpoint.origin, parsed)  # 5
        if seals is None:
            assert claim is not None
            _check_succession(claim)  # 6
            seals = claim.seals
        _check_places(receipt.leaf_index, seals)
        if claim is not None:
            _verify_seals(claim, tree.trusted)  # 7
            _keep(tree.seals, key, seals, most=REMEMBERED_SEALS_MAX)
        return VerifiedReceipt(
            origin=checkpoint.origin,
            tree_size=checkpoint.size,
            root=checkpoint.root,
            leaf_index=receipt.leaf_index,
            seal=seals.seal,
            kind=_kind(body, genesis),
            author=None if receipt.body is None else receipt.author,
            body=body,
            genesis=genesis,
            cosigners=tree.cosigners,
        )

    def verify_note(self, note: bytes) -> VerifiedCheckpoint:
        """The checkpoint of a note that stands alone; see `merkle.policy.verify_checkpoint`.

        Raises:
            MalformedError: it is no note of a checkpoint.
            VerificationError: it is not signed as the policy asks.
        """
        tree = self._trees.get(note)
        return (self._verify_note(note) if tree is None else tree).trusted

    def _verify_note(self, content: bytes) -> _Tree:
        note = parse_note(content)
        trusted = verify_checkpoint(note, self._policy, self._check)
        tree = _Tree(trusted=trusted, cosigners=_cosigners(trusted, self._policy))
        _keep(self._trees, content, tree, most=REMEMBERED_NOTES_MAX)
        return tree


def _check_commitment(receipt: SplitReceipt, commitment: Digest, origin: Origin) -> None:
    if receipt.body is None:
        return
    opened = leaf_commitment(
        origin=origin, author_peer=receipt.author, salt=receipt.salt, body=receipt.body
    )
    if opened != commitment:
        raise ReceiptError("the leaf does not commit to this origin, author, salt and body")


def _open_body(
    receipt: SplitReceipt, origin: Origin, parsed: Mapping[bytes, Body] | None
) -> tuple[Body | None, Genesis | None]:
    """The body as what it is; neither when it was erased, which a genesis never is."""
    is_genesis = receipt.leaf_index == 0
    if is_genesis != (receipt.author is None):
        raise ReceiptError("an author is missing, or there is one for the genesis")
    if not is_genesis:
        if receipt.body is None:
            return None, None
        known = None if parsed is None else parsed.get(receipt.body)
        return (parse_body(receipt.body) if known is None else known), None
    if receipt.body is None or receipt.salt != ZERO_SALT:
        raise ReceiptError("the genesis is neither erased nor salted")
    genesis = parse_genesis(receipt.body)
    if genesis.origin != origin:
        raise ReceiptError(f"the genesis is that of {genesis.origin}, not of {origin}")
    return None, genesis


def _parse_seals(receipt: SplitReceipt) -> _Claim:
    seal, previous = receipt.seals()
    return _Claim(
        seals=_Seals(
            seal=parse_seal_leaf(seal.leaf),
            first_index=LeafIndex(0 if previous is None else previous.index + 1),
            last_index=seal.index,
        ),
        previous=None if previous is None else parse_seal_leaf(previous.leaf),
        proofs=(seal,) if previous is None else (seal, previous),
    )


def _check_succession(claim: _Claim) -> None:
    seal, previous = claim.seals.seal, claim.previous
    if previous is None:
        return  # only in block 0, says the place of its seal
    if previous.height + 1 != seal.height:
        raise ReceiptError(f"block {seal.height} does not follow block {previous.height}")
    if previous.time_ms >= seal.time_ms:
        raise ReceiptError(f"block {seal.height} is not later than the one before")


def _check_places(entry: LeafIndex, seals: _Seals) -> None:
    first, last, seal = seals.first_index, seals.last_index, seals.seal
    if not first <= entry < last <= first + BLOCK_ENTRIES_MAX:
        raise ReceiptError(f"leaf {entry} is not in a block of the leaves {first} to {last}")
    # Block 0 has two leaves, the genesis and its seal; every later block has at least its seal.
    fits = (first, last) == (0, 1) if seal.height == 0 else first > seal.height
    if not fits:
        raise ReceiptError(f"leaf {last} cannot be the seal of block {seal.height}")


def _verify_seals(claim: _Claim, trusted: VerifiedCheckpoint) -> None:
    for seal in claim.proofs:
        verify_inclusion(
            index=seal.index,
            size=trusted.checkpoint.size,
            leaf_hash=leaf_hash(seal.leaf),
            proof=seal.proof,
            root=trusted.checkpoint.root,
        )


def _cosigners(trusted: VerifiedCheckpoint, policy: Policy) -> tuple[Cosigner, ...]:
    names = {witness.name: witness.key.name for witness in policy.witnesses}
    return tuple(
        Cosigner(name=names[witness.name], time_s=witness.time_s) for witness in trusted.witnesses
    )


def _kind(body: Body | None, genesis: Genesis | None) -> EntryKind | None:
    if genesis is not None:
        return EntryKind.GENESIS
    return None if body is None else kind_of(body.happening)


def _keep(remembered: OrderedDict[bytes, ValueT], key: bytes, value: ValueT, *, most: int) -> None:
    remembered[key] = value
    if len(remembered) > most:
        remembered.popitem(last=False)
