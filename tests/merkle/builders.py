"""Leaves, logs kept in tiles, and signers with keys of fixed seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from caretree.merkle.checkpoint import Checkpoint
from caretree.merkle.cosignature import cosign_line
from caretree.merkle.frontier import EMPTY_FRONTIER, Frontier, Growth, grow
from caretree.merkle.hashing import HASH_BYTES, leaf_hash
from caretree.merkle.keys import SignatureType, VerifierKey
from caretree.merkle.lines import SignatureLine, sign_note_line
from caretree.merkle.nodes import NodeReader
from caretree.merkle.tiles import Tile, TileKey, update_tiles
from caretree.model.errors import VerificationError
from caretree.model.ids import Digest, Origin, TreeSize
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ORIGIN = Origin("county.example/0a1b2c3d")


def make_leaves(count: int) -> list[bytes]:
    """Different leaves of different lengths; the first is empty."""
    return [b"%d" % index * (index % 3 + 1) if index else b"" for index in range(count)]


def hash_leaves(leaves: Sequence[bytes]) -> list[bytes]:
    """Their leaf hashes."""
    return [leaf_hash(leaf) for leaf in leaves]


def grow_to(size: int) -> Growth:
    """The growth of the empty tree to `size` leaves in one batch."""
    return grow(EMPTY_FRONTIER, hash_leaves(make_leaves(size)))


@dataclass(slots=True)
class TiledLog:
    """A log whose tiles are kept as the store keeps them: each once, as wide as it got."""

    frontier: Frontier = EMPTY_FRONTIER
    tiles: dict[TileKey, bytes] = field(default_factory=dict)
    right_edge: dict[int, bytes] = field(default_factory=dict)
    reads: list[Tile] = field(default_factory=list)

    def append(self, leaves: Sequence[bytes]) -> Growth:
        """Append one batch, writing its tiles."""
        growth = grow(self.frontier, hash_leaves(leaves))
        update = update_tiles(growth, self.right_edge)
        self.tiles.update(update.tiles)
        self.right_edge = dict(update.right_edge)
        self.frontier = growth.after
        return growth

    def read_tile(self, tile: Tile) -> bytes:
        """A stored tile, as wide as it is stored; every read is noted."""
        self.reads.append(tile)
        return self.tiles[tile.key]

    def served(self, tile: Tile) -> bytes:
        """A tile exactly as wide as a path names it."""
        content = self.tiles[tile.key][: tile.width * HASH_BYTES]
        assert len(content) == tile.width * HASH_BYTES
        return content

    def reader(self) -> NodeReader:
        """A fresh reader of this log's nodes."""
        return NodeReader(self)


@dataclass(frozen=True, slots=True)
class Signer:
    """A key under a name, made from the seed text, so that every run has the same."""

    name: str
    seed: str

    @property
    def private_key(self) -> Ed25519PrivateKey:
        """The private half."""
        return Ed25519PrivateKey.from_private_bytes(sha256(self.seed.encode()).digest())

    @property
    def public_key(self) -> bytes:
        """The public half, 32 bytes."""
        return self.private_key.public_key().public_bytes_raw()

    def verifier(self, signature_type: SignatureType) -> VerifierKey:
        """The key as others trust it."""
        return VerifierKey(
            name=self.name, signature_type=signature_type, public_key=self.public_key
        )

    def sign(self, text: bytes) -> SignatureLine:
        """This key's 0x01 line."""
        return sign_note_line(
            text, name=self.name, public_key=self.public_key, sign=self.private_key.sign
        )

    def cosign(self, text: bytes, time_s: int = 1_760_000_000) -> SignatureLine:
        """This key's 0x04 line."""
        return cosign_line(
            text,
            name=self.name,
            public_key=self.public_key,
            time_s=time_s,
            sign=self.private_key.sign,
        )


def log_signer(number: int = 0) -> Signer:
    """The log key of voter `number`, under the origin's name as all log keys are."""
    return Signer(ORIGIN, f"log {number}")


def cosigner(number: int) -> Signer:
    """The cosigner key of member `number`, under its own name."""
    return Signer(f"member-{number}.example", f"cosigner {number}")


def check_signature(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Return when the Ed25519 signature is good, by OpenSSL."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise VerificationError("signature does not hold") from error


def make_checkpoint(frontier: Frontier) -> Checkpoint:
    """The checkpoint of this frontier under the usual origin."""
    return Checkpoint(origin=ORIGIN, size=frontier.size, root=frontier.root())


def some_checkpoint() -> Checkpoint:
    """A checkpoint of seven leaves."""
    return make_checkpoint(grow_to(7).after)


def wrong_root_checkpoint() -> Checkpoint:
    """A checkpoint of the same size and origin with another root."""
    return Checkpoint(origin=ORIGIN, size=TreeSize(7), root=Digest(bytes(32)))
