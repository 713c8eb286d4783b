"""A log of real entries with real proofs and signatures, kept as a list of leaves."""

from dataclasses import dataclass, field

from caretree.crypto.commitments import ZERO_SALT
from caretree.ledger.blocks import genesis_block
from caretree.ledger.bodies import encode_body
from caretree.ledger.certificate import (
    add_lines,
    certification,
    format_certified_note,
    sign_lines,
    start_certificate,
)
from caretree.ledger.receipts import SealProof, build_receipt
from caretree.ledger.values import Block, Body, Position
from caretree.merkle.checkpoint import Checkpoint
from caretree.merkle.frontier import EMPTY_FRONTIER, Growth, grow
from caretree.merkle.hashing import leaf_hash
from caretree.merkle.proof import prove_consistency, prove_inclusion
from caretree.model.ids import Digest, LeafIndex, Origin, Place, TreeSize

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN, Consortium, FixedRandom
from tests.ledger.samples import SIGNED_S, batch_of, block_of, draft, seal_of


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    salt: bytes
    body: bytes
    block: int


@dataclass(slots=True)
class FakeLedger:
    """Every call of `add` is a block by the town's peer, certified at once."""

    consortium: Consortium
    leaves: list[bytes] = field(default_factory=list)
    _entries: dict[int, _Entry] = field(default_factory=dict)
    _blocks: list[Block] = field(default_factory=list)
    _seals: list[int] = field(default_factory=list)  # each block's seal
    _random: FixedRandom = field(default_factory=lambda: FixedRandom(1))

    def __post_init__(self) -> None:
        zero = genesis_block(self.consortium.genesis)
        self._blocks = [zero]
        self.leaves = [*zero.batches[0].leaves, seal_of(zero)]
        self._seals = [1]
        self._entries = {0: _Entry(salt=ZERO_SALT, body=self.consortium.genesis.encoded, block=0)}

    @property
    def size(self) -> TreeSize:
        """The tree's size."""
        return TreeSize(len(self.leaves))

    def add(self, bodies: list[Body]) -> list[Position]:
        """Where the entries of a new block stand."""
        encoded = [encode_body(body) for body in bodies]
        drafts = [draft(self.consortium, TOWN, body, random=self._random) for body in encoded]
        batch = batch_of(self.consortium, TOWN, drafts)
        block = block_of(self.consortium, [batch], parent=self._blocks[-1])
        first = len(self.leaves)
        self._blocks.append(block)
        self._seals.append(first + len(drafts))
        self.leaves += [*(leaf for leaf, _ in drafts), seal_of(block)]
        for place, (_, opening) in enumerate(drafts):
            assert opening.body is not None
            self._entries[first + place] = _Entry(
                salt=opening.salt, body=opening.body, block=block.header.height
            )
        return [
            Position(
                height=block.header.height, place=Place(place), leaf_index=LeafIndex(first + place)
            )
            for place in range(len(drafts))
        ]

    def receipt(self, index: int) -> bytes:
        """The receipt of an entry at the newest checkpoint."""
        entry = self._entries[index]
        growth = self._grown(self.size)
        return build_receipt(
            leaf=self.leaves[index],
            leaf_index=LeafIndex(index),
            proof=self._prove(growth, index),
            author=self.consortium[TOWN].peer.peer if index else None,
            salt=entry.salt,
            body=entry.body,
            seal=self._prove_seal(growth, entry.block),
            previous_seal=self._prove_seal(growth, entry.block - 1) if entry.block else None,
            note=self.note(),
        )

    def note(self, size: TreeSize | None = None) -> bytes:
        """The certified checkpoint of this size, by default the newest."""
        size = size or self.size
        origin = Origin(self.consortium.origin)
        root = self._grown(size).after.root()
        checkpoint = Checkpoint(origin=origin, size=size, root=root)
        lines = [
            line
            for member in (TOWN, HOSPITAL, OFFICE)
            for line in sign_lines(
                checkpoint,
                peer=self.consortium[member].as_peer(),
                sign_log=self.consortium[member].peer.log.sign,
                sign_cosigner=self.consortium[member].peer.cosigner.sign,
                time_s=SIGNED_S,
            )
        ]
        rule = certification(self.consortium.genesis)
        certificate = add_lines(start_certificate(checkpoint), lines, rule).certificate
        return format_certified_note(certificate, rule)

    def consistency(self, first: TreeSize, second: TreeSize) -> tuple[Digest, ...]:
        """The proof that the tree of `second` begins with that of `first`."""
        return prove_consistency(size1=first, size2=second, fetch=self._grown(second).node)

    def _grown(self, size: TreeSize) -> Growth:
        return grow(EMPTY_FRONTIER, [leaf_hash(leaf) for leaf in self.leaves[:size]])

    def _prove_seal(self, growth: Growth, block: int) -> SealProof:
        index = self._seals[block]
        return SealProof(
            leaf=self.leaves[index], index=LeafIndex(index), proof=self._prove(growth, index)
        )

    def _prove(self, growth: Growth, index: int) -> tuple[Digest, ...]:
        return prove_inclusion(index=LeafIndex(index), size=self.size, fetch=growth.node)
