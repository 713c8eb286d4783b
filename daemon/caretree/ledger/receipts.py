"""Receipts: one file that proves to anyone, offline, that an entry took effect (receipt.proto).

A receipt is a C2SP tlog-proof of the entry's leaf; its `extra` holds the opened entry, the seal of
its block and the seal of the block before.

What the two seals prove. Every block ends with its seal; every peer derives it, and no entry leaf
is as long as one, so a certified tree holds one seal for each height, in order. The leaves between
the seals of heights h - 1 and h are therefore the entries of block h and no others: an entry there
was ordered in block h, at its time. Block 0 begins the tree, and its seal at leaf index 1 is bound
enough.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from caretree.crypto.commitments import SALT_BYTES, ZERO_SALT, leaf_commitment
from caretree.crypto.suite import FORMAT_VERSION, check_version
from caretree.ledger.bodies import kind_of, parse_body
from caretree.ledger.genesis import GENESIS_BYTES_MAX, Genesis, parse_genesis
from caretree.ledger.leaves import parse_entry_leaf, parse_seal_leaf
from caretree.ledger.values import Body, EntryKind, Record, Seal
from caretree.ledger.wire import check_at_most, check_length, parse_strict
from caretree.merkle.hashing import leaf_hash
from caretree.merkle.lines import SignatureCheck
from caretree.merkle.note import Note, parse_note
from caretree.merkle.policy import Policy, VerifiedCheckpoint
from caretree.merkle.tlog_proof import (
    PROOF_HASHES_MAX,
    TlogProof,
    format_tlog_proof,
    parse_tlog_proof,
    verify_tlog_proof,
)
from caretree.merkle.verify import verify_inclusion
from caretree.model.errors import MalformedError, VerificationError
from caretree.model.ids import (
    Digest,
    LeafIndex,
    MemberId,
    Origin,
    PeerId,
    RecordId,
    TreeSize,
    peer_id_bytes,
)
from caretree.model.limits import BLOCK_ENTRIES_MAX
from caretree.proto.ledger.v1 import receipt_pb2

_PEER_ID_BYTES: Final = 8
_HASH_BYTES: Final = 32


class ReceiptError(VerificationError):
    """The parts of a receipt do not belong together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealProof:
    """A seal's leaf, and the hashes that prove it in the checkpoint's tree."""

    leaf: bytes
    index: LeafIndex
    proof: tuple[Digest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A parsed receipt. Nothing in it is verified yet."""

    leaf: bytes
    leaf_index: LeafIndex
    proof: tuple[Digest, ...]
    author: PeerId | None  # None for GENESIS
    salt: bytes  # empty when erased
    body: bytes | None  # None when erased
    seal: SealProof
    previous_seal: SealProof | None  # None for block 0, and for it alone
    note: Note

    @property
    def first_index(self) -> LeafIndex:
        """Where the entry's block begins: behind the seal of the one before."""
        return LeafIndex(0 if self.previous_seal is None else self.previous_seal.index + 1)


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


def build_receipt(
    *,
    leaf: bytes,
    leaf_index: LeafIndex,
    proof: Sequence[Digest],
    author: PeerId | None,
    salt: bytes,
    body: bytes | None,
    seal: SealProof,
    previous_seal: SealProof | None,
    note: bytes,
) -> bytes:
    """The receipt file. All proofs are at the checkpoint of `note`; salt and body go together.

    `seal` closes the entry's block, `previous_seal` the block before; it is None for block 0.
    `note` is best certificate.format_certified_note, which holds no line more than is needed.
    """
    extra = receipt_pb2.ReceiptExtra(
        version=FORMAT_VERSION,
        leaf=leaf,
        author_peer=b"" if author is None else peer_id_bytes(author),
        salt=b"" if body is None else salt,
        body=body or b"",
        seal_leaf=seal.leaf,
        seal_index=seal.index,
        seal_proof=seal.proof,
    )
    if previous_seal is not None:
        extra.first_index = previous_seal.index + 1
        extra.previous_seal_leaf = previous_seal.leaf
        extra.previous_seal_proof.extend(previous_seal.proof)
    return format_tlog_proof(
        TlogProof(
            extra=extra.SerializeToString(),
            index=leaf_index,
            hashes=tuple(proof),
            note=parse_note(note),
        )
    )


def parse_receipt(file: bytes) -> Receipt:
    """The receipt in a file.

    Raises:
        MalformedError: it is no tlog-proof, or its extra is not as receipt.proto says.
    """
    proof = parse_tlog_proof(file)
    extra = parse_strict(receipt_pb2.ReceiptExtra, proof.extra, field="receipt")
    check_version(extra.version, field="receipt.version")
    author = extra.author_peer
    if author:
        check_length(author, _PEER_ID_BYTES, field="receipt.author_peer")
    check_length(extra.salt, SALT_BYTES if extra.body else 0, field="receipt.salt")
    check_at_most(len(extra.body), GENESIS_BYTES_MAX, field="receipt.body", unit="bytes")
    return Receipt(
        leaf=extra.leaf,
        leaf_index=proof.index,
        proof=proof.hashes,
        author=PeerId(int.from_bytes(author, "big")) if author else None,
        salt=extra.salt,
        body=extra.body or None,
        seal=SealProof(
            leaf=extra.seal_leaf,
            index=LeafIndex(extra.seal_index),
            proof=_hashes(extra.seal_proof, field="receipt.seal_proof"),
        ),
        previous_seal=_previous_seal(extra),
        note=proof.note,
    )


def verify_receipt(file: bytes, policy: Policy, check: SignatureCheck) -> VerifiedReceipt:
    """What the receipt proves, once all of the following holds.

    1. the file is a tlog-proof whose extra is a receipt's: an entry leaf, a seal leaf, and unless
       the block begins at leaf index 0 the leaf of a previous seal;
    2. its checkpoint is signed as the policy asks: one 0x01 line and the quorum of 0x04 lines;
    3. the entry leaf is in the checkpoint's tree at its index;
    4. the leaf commits to origin, author, salt and body, or body and salt were erased;
    5. the body is one that an entry can have, and it is the genesis exactly at leaf index 0;
    6. the seals are those of consecutive heights and rising times, the entry stands between them,
       they are at most a block apart, and where seals of their heights can be; height 0 alone has
       no previous seal;
    7. both seal leaves are in the same tree, the previous one right before the block's first leaf.

    Raises:
        MalformedError: steps 1 and 5, or a proof that none can be.
        VerificationError: steps 2 to 7.
    """
    receipt = parse_receipt(file)  # 1
    commitment = parse_entry_leaf(receipt.leaf)
    seal = parse_seal_leaf(receipt.seal.leaf)
    previous = (
        None if receipt.previous_seal is None else parse_seal_leaf(receipt.previous_seal.leaf)
    )
    trusted = _verify_entry_inclusion(receipt, policy, check)  # 2, 3
    origin = trusted.checkpoint.origin
    _check_commitment(receipt, commitment, origin)  # 4
    body, genesis = _open_body(receipt, origin)  # 5
    _check_succession(previous, seal)  # 6
    _check_places(receipt, seal)
    _verify_seal_inclusion(receipt.seal, trusted)  # 7
    if receipt.previous_seal is not None:
        _verify_seal_inclusion(receipt.previous_seal, trusted)
    return VerifiedReceipt(
        origin=origin,
        tree_size=trusted.checkpoint.size,
        root=trusted.checkpoint.root,
        leaf_index=receipt.leaf_index,
        seal=seal,
        kind=_kind(body, genesis),
        author=None if receipt.body is None else receipt.author,
        body=body,
        genesis=genesis,
        cosigners=_cosigners(trusted, policy),
    )


def _verify_entry_inclusion(
    receipt: Receipt, policy: Policy, check: SignatureCheck
) -> VerifiedCheckpoint:
    proof = TlogProof(extra=b"", index=receipt.leaf_index, hashes=receipt.proof, note=receipt.note)
    return verify_tlog_proof(proof, leaf_hash=leaf_hash(receipt.leaf), policy=policy, check=check)


def _check_commitment(receipt: Receipt, commitment: Digest, origin: Origin) -> None:
    if receipt.body is None:
        return
    opened = leaf_commitment(
        origin=origin, author_peer=receipt.author, salt=receipt.salt, body=receipt.body
    )
    if opened != commitment:
        raise ReceiptError("the leaf does not commit to this origin, author, salt and body")


def _open_body(receipt: Receipt, origin: Origin) -> tuple[Body | None, Genesis | None]:
    """The body as what it is; neither when it was erased, which a genesis never is."""
    is_genesis = receipt.leaf_index == 0
    if is_genesis != (receipt.author is None):
        raise ReceiptError("an author is missing, or there is one for the genesis")
    if not is_genesis:
        return (None if receipt.body is None else parse_body(receipt.body)), None
    if receipt.body is None or receipt.salt != ZERO_SALT:
        raise ReceiptError("the genesis is neither erased nor salted")
    genesis = parse_genesis(receipt.body)
    if genesis.origin != origin:
        raise ReceiptError(f"the genesis is that of {genesis.origin}, not of {origin}")
    return None, genesis


def _check_succession(previous: Seal | None, seal: Seal) -> None:
    if previous is None:
        return  # only in block 0, says the place of its seal
    if previous.height + 1 != seal.height:
        raise ReceiptError(f"block {seal.height} does not follow block {previous.height}")
    if previous.time_ms >= seal.time_ms:
        raise ReceiptError(f"block {seal.height} is not later than the one before")


def _check_places(receipt: Receipt, seal: Seal) -> None:
    first, entry, last = receipt.first_index, receipt.leaf_index, receipt.seal.index
    if not first <= entry < last <= first + BLOCK_ENTRIES_MAX:
        raise ReceiptError(f"leaf {entry} is not in a block of the leaves {first} to {last}")
    # Block 0 has two leaves, the genesis and its seal; every later block has at least its seal.
    fits = (first, last) == (0, 1) if seal.height == 0 else first > seal.height
    if not fits:
        raise ReceiptError(f"leaf {last} cannot be the seal of block {seal.height}")


def _verify_seal_inclusion(seal: SealProof, trusted: VerifiedCheckpoint) -> None:
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


def _previous_seal(extra: receipt_pb2.ReceiptExtra) -> SealProof | None:
    """The seal before the block's first leaf; none, and nothing of it, where the tree begins."""
    proof = _hashes(extra.previous_seal_proof, field="receipt.previous_seal_proof")
    if extra.first_index:
        index = LeafIndex(extra.first_index - 1)
        return SealProof(leaf=extra.previous_seal_leaf, index=index, proof=proof)
    if extra.previous_seal_leaf or proof:
        raise MalformedError("receipt.previous_seal_leaf", "expected none before leaf index 0")
    return None


def _hashes(values: Sequence[bytes], *, field: str) -> tuple[Digest, ...]:
    check_at_most(len(values), PROOF_HASHES_MAX, field=field, unit="hashes")
    if any(len(value) != _HASH_BYTES for value in values):
        raise MalformedError(field, f"expected hashes of {_HASH_BYTES} bytes")
    return tuple(Digest(value) for value in values)
