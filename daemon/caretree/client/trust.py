"""What this client takes the peer's word for: nothing that a proof can show.

Every receipt and checkpoint is verified under the policy. Checkpoints must be of one log that only
grows: two of one size have one root, and a larger one is proven to extend the newest proven one. A
consortium that showed two histories to two people would have to sign both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from caretree.client.errors import InconsistentLogError, ReceiptError
from caretree.crypto.remembering import RememberingCheck
from caretree.ledger.certificate import OriginError
from caretree.ledger.receipts import ReceiptVerifier, VerifiedReceipt
from caretree.merkle.checkpoint import Checkpoint
from caretree.merkle.policy_text import parse_policy
from caretree.merkle.verify import verify_consistency
from caretree.model.errors import MalformedError, VerificationError
from caretree.model.ids import Digest, Origin, TreeSize


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTree:
    """A tree that the quorum certified."""

    size: TreeSize
    root: Digest


class Trust:
    """Verifies what the peer hands out, and remembers the newest certified tree.

    Raises:
        MalformedError: the policy is none, or lists no log of this origin.
    """

    def __init__(self, *, policy_text: str, origin: str) -> None:
        policy = parse_policy(policy_text.encode("utf-8", "surrogateescape"))
        self._origin = Origin(origin)
        if all(log.key.name != origin for log in policy.logs):
            raise MalformedError("policy", f"expected a log of the origin {origin}")
        self._verifier = ReceiptVerifier(policy, RememberingCheck())
        self._proven: SeenTree | None = None
        self._newest: SeenTree | None = None

    def receipt(self, file: bytes) -> VerifiedReceipt:
        """What a receipt proves.

        Raises:
            ReceiptError: it does not verify, or is of another log.
            InconsistentLogError: its tree contradicts one seen before.
        """
        try:
            verified = self._verifier.verify(file)
        except (MalformedError, VerificationError) as error:
            raise ReceiptError(f"the receipt does not verify: {error}") from error
        if verified.origin != self._origin:
            raise ReceiptError(f"the receipt is of {verified.origin}, not of {self._origin}")
        self._see(verified.tree_size, verified.root)
        return verified

    def checkpoint(self, note: bytes) -> Checkpoint:
        """The checkpoint of a note.

        Raises:
            MalformedError: it is none.
            VerificationError: it is not certified, or of another log, or contradicts another.
        """
        checkpoint = self._verifier.verify_note(note).checkpoint
        if checkpoint.origin != self._origin:
            raise OriginError(expected=self._origin, found=checkpoint.origin)
        self._see(checkpoint.size, checkpoint.root)
        return checkpoint

    @property
    def unproven(self) -> tuple[TreeSize, TreeSize] | None:
        """The sizes between which a consistency proof is due, the smaller first; None when none."""
        if self._proven is None or self._newest is None or self._newest.size <= self._proven.size:
            return None
        return self._proven.size, self._newest.size

    def extend(self, sizes: tuple[TreeSize, TreeSize], hashes: Sequence[bytes]) -> None:
        """Take the newest tree as proven, once the proof shows that it extends the one before.

        Raises:
            InconsistentLogError: it does not.
        """
        proven, newest = self._proven, self._newest
        assert proven is not None
        assert newest is not None
        if sizes != (proven.size, newest.size):
            return  # others were proven or seen meanwhile; theirs is due again
        try:
            verify_consistency(
                size1=proven.size,
                size2=newest.size,
                proof=hashes,
                root1=proven.root,
                root2=newest.root,
            )
        except (MalformedError, VerificationError) as error:
            raise InconsistentLogError(str(error)) from error
        self._proven = newest

    def _see(self, size: TreeSize, root: Digest) -> None:
        for known in (self._proven, self._newest):
            if known is not None and known.size == size and known.root != root:
                raise InconsistentLogError(f"two certified trees of size {size} differ")
        if self._newest is None or size > self._newest.size:
            self._newest = SeenTree(size=size, root=root)
        if self._proven is None:
            self._proven = self._newest
