"""A receipt's file, put together and taken apart (receipt.proto). Nothing is verified here.

Receipts of one block at one checkpoint differ in their entry alone: the seals around the block and
the checkpoint's note are the same bytes in each. `SharedParts` are these bytes, made once; and
`split_receipt` leaves them as they stand, for a verifier that may have seen them before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from caretree.crypto.commitments import SALT_BYTES
from caretree.crypto.suite import FORMAT_VERSION, check_version
from caretree.ledger.genesis import GENESIS_BYTES_MAX
from caretree.ledger.wire import check_at_most, check_length, parse_strict
from caretree.merkle.checkpoint import parse_checkpoint
from caretree.merkle.hashing import HASH_BYTES
from caretree.merkle.note import Note, parse_note
from caretree.merkle.tlog_proof import (
    PROOF_HASHES_MAX,
    TlogProofParts,
    join_tlog_proof,
    split_tlog_proof,
)
from caretree.model.errors import MalformedError
from caretree.model.ids import Digest, LeafIndex, PeerId, peer_id_bytes
from caretree.proto.ledger.v1 import receipt_pb2

_PEER_ID_BYTES: Final = 8
_ENTRY_FIELDS: Final = ("version", "leaf", "author_peer", "salt", "body")


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
class SplitReceipt:
    """A receipt's own entry, parsed, and what it shares with others as it stands in the file."""

    leaf: bytes
    leaf_index: LeafIndex
    proof: tuple[Digest, ...]
    author: PeerId | None
    salt: bytes
    body: bytes | None
    extra: receipt_pb2.ReceiptExtra  # what is left of it: the seals' fields
    note: bytes

    def seals_key(self) -> bytes:
        """All that the file says of the two seals, in one spelling."""
        return self.extra.SerializeToString(deterministic=True)

    def seals(self) -> tuple[SealProof, SealProof | None]:
        """The seal of the entry's block, and the one before, which block 0 has not.

        Raises:
            MalformedError: hashes that are none, or a seal where the tree begins.
        """
        extra = self.extra
        seal = SealProof(
            leaf=extra.seal_leaf,
            index=LeafIndex(extra.seal_index),
            proof=_hashes(extra.seal_proof, field="receipt.seal_proof"),
        )
        return seal, _previous_seal(extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedParts:
    """What the receipts of one block at one checkpoint have in common, written once."""

    seals: bytes  # fields of the extra
    note: bytes


def share_parts(*, seal: SealProof, previous_seal: SealProof | None, note: bytes) -> SharedParts:
    """The parts that are the same in each receipt of a block. All proofs are at `note`.

    `seal` closes the block, `previous_seal` the one before; it is None for block 0. `note` is as
    `format_note` writes it, best certificate.format_certified_note: no line more than is needed.
    """
    extra = receipt_pb2.ReceiptExtra(
        seal_leaf=seal.leaf, seal_index=seal.index, seal_proof=seal.proof
    )
    if previous_seal is not None:
        extra.first_index = previous_seal.index + 1
        extra.previous_seal_leaf = previous_seal.leaf
        extra.previous_seal_proof.extend(previous_seal.proof)
    return SharedParts(seals=extra.SerializeToString(), note=note)


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

    For what `seal`, `previous_seal` and `note` are see `share_parts`.
    """
    return build_receipt_with(
        share_parts(seal=seal, previous_seal=previous_seal, note=note),
        leaf=leaf,
        leaf_index=leaf_index,
        proof=proof,
        author=author,
        salt=salt,
        body=body,
    )


def build_receipt_with(
    shared: SharedParts,
    *,
    leaf: bytes,
    leaf_index: LeafIndex,
    proof: Sequence[Digest],
    author: PeerId | None,
    salt: bytes,
    body: bytes | None,
) -> bytes:
    """As `build_receipt`, for one of many receipts with the same shared parts.

    Protobuf reads a message's fields one after another, so those written apart may be joined; the
    entry's fields have the lower numbers, so the bytes are those of the extra written whole.
    """
    entry = receipt_pb2.ReceiptExtra(
        version=FORMAT_VERSION,
        leaf=leaf,
        author_peer=b"" if author is None else peer_id_bytes(author),
        salt=b"" if body is None else salt,
        body=body or b"",
    )
    return join_tlog_proof(
        TlogProofParts(
            extra=entry.SerializeToString() + shared.seals,
            index=leaf_index,
            hashes=tuple(proof),
            note=shared.note,
        )
    )


def split_receipt(file: bytes) -> SplitReceipt:
    """The receipt in a file as far as it is its own.

    Raises:
        MalformedError: it is no tlog-proof, or its extra is not as receipt.proto says.
    """
    parts = split_tlog_proof(file)
    extra = parse_strict(receipt_pb2.ReceiptExtra, parts.extra, field="receipt")
    check_version(extra.version, field="receipt.version")
    leaf, author, salt, body = extra.leaf, extra.author_peer, extra.salt, extra.body
    if author:
        check_length(author, _PEER_ID_BYTES, field="receipt.author_peer")
    check_length(salt, SALT_BYTES if body else 0, field="receipt.salt")
    check_at_most(len(body), GENESIS_BYTES_MAX, field="receipt.body", unit="bytes")
    for field in _ENTRY_FIELDS:
        extra.ClearField(field)
    return SplitReceipt(
        leaf=leaf,
        leaf_index=parts.index,
        proof=parts.hashes,
        author=PeerId(int.from_bytes(author, "big")) if author else None,
        salt=salt,
        body=body or None,
        extra=extra,
        note=parts.note,
    )


def parse_receipt(file: bytes) -> Receipt:
    """The receipt in a file.

    Raises:
        MalformedError: it is no tlog-proof, or its extra is not as receipt.proto says.
    """
    split = split_receipt(file)
    seal, previous_seal = split.seals()
    note = parse_note(split.note)
    parse_checkpoint(note.text)  # what is no checkpoint is malformed here, not when verified
    return Receipt(
        leaf=split.leaf,
        leaf_index=split.leaf_index,
        proof=split.proof,
        author=split.author,
        salt=split.salt,
        body=split.body,
        seal=seal,
        previous_seal=previous_seal,
        note=note,
    )


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
    hashes = tuple(values)
    check_at_most(len(hashes), PROOF_HASHES_MAX, field=field, unit="hashes")
    if not set(map(len, hashes)) <= {HASH_BYTES}:
        raise MalformedError(field, f"expected hashes of {HASH_BYTES} bytes")
    return cast("tuple[Digest, ...]", hashes)
