"""Checkpoints (c2sp.org/tlog-checkpoint): origin, tree size and root, as the text signed.

Ours have these three lines and no more: verifiers of others differ on whether a cosignature covers
further lines, so a checkpoint with any is refused.
"""

from dataclasses import dataclass

from caretree.merkle.hashing import EMPTY_ROOT, HASH_BYTES
from caretree.merkle.keys import check_key_name
from caretree.merkle.shape import TREE_SIZE_MAX
from caretree.merkle.text import decode_hash, encode_base64, parse_decimal
from caretree.model.errors import MalformedError
from caretree.model.ids import Digest, Origin, TreeSize


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A tree of one log: whose, how large, and its root.

    Raises:
        MalformedError: an origin that cannot name a key, a size out of bounds, a root that is not
            32 bytes, or not the empty tree's at size 0.
    """

    origin: Origin
    size: TreeSize
    root: Digest

    def __post_init__(self) -> None:
        check_key_name(self.origin)  # the log's key bears the origin as its name
        if not 0 <= self.size <= TREE_SIZE_MAX:
            raise MalformedError("tree size", f"expected 0 to {TREE_SIZE_MAX}, found {self.size}")
        if len(self.root) != HASH_BYTES:
            raise MalformedError("root", f"expected {HASH_BYTES} bytes, found {len(self.root)}")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise MalformedError("root", "expected the empty tree's at size 0")


def format_checkpoint(checkpoint: Checkpoint) -> bytes:
    """The note text to be signed."""
    root = encode_base64(checkpoint.root)
    return f"{checkpoint.origin}\n{checkpoint.size}\n{root}\n".encode()


def parse_checkpoint(text: bytes) -> Checkpoint:
    """The checkpoint of a note text; the inverse of `format_checkpoint`.

    Raises:
        MalformedError: not exactly three lines, or one that is not as written by
            `format_checkpoint`.
    """
    try:
        lines = text.decode("utf-8").split("\n", 4)
    except UnicodeDecodeError as error:
        raise MalformedError("checkpoint", "expected UTF-8") from error
    if len(lines) != 4 or lines[3]:
        raise MalformedError("checkpoint", "expected origin, size and root, a line each, no more")
    origin, size, root, _ = lines
    return Checkpoint(
        origin=Origin(origin),
        size=TreeSize(parse_decimal(size, field="tree size", maximum=TREE_SIZE_MAX)),
        root=decode_hash(root, field="root"),
    )
