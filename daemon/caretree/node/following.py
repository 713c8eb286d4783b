"""Who is told of what the consensus loop did: author, stage, proofs, signatures, metrics."""

from caretree.ledger.bodies import kind_of
from caretree.ledger.values import BlockRef, Outcome
from caretree.model.ids import Digest, PeerId, TreeSize
from caretree.node.applier import AppliedBlock, Result
from caretree.node.author import Author
from caretree.node.certifier import Certifier
from caretree.node.keyrings import Keyrings
from caretree.node.proofs import Proofs
from caretree.node.signing import Roots, Signing
from caretree.node.stage import BlockStage
from caretree.telemetry.metrics import Metrics


class Following:
    """For one peer, on the loop's thread."""

    def __init__(
        self,
        *,
        author: Author,
        keyrings: Keyrings,
        stage: BlockStage,
        proofs: Proofs,
        roots: Roots,
        certifier: Certifier,
        signing: Signing,
        metrics: Metrics,
    ) -> None:
        self._author = author
        self._keyrings = keyrings
        self._stage = stage
        self._proofs = proofs
        self._roots = roots
        self._certifier = certifier
        self._signing = signing
        self._metrics = metrics

    def on_leader(self, lead: PeerId) -> None:
        """Another leader, or none."""
        self._author.on_leader(lead)
        self._signing.on_leader(lead)

    def on_result(self, result: Result) -> None:
        """A block was applied, or is void.

        Raises:
            DivergenceError: another root than that of the applied tree is certified.
        """
        block = result.held.block
        if isinstance(result, AppliedBlock):
            head = result.applied.head
            self._keyrings.on_applied(result.held, result.applied.outcomes)
            self._proofs.applied(result)
            self._roots.applied(head.tree_size, head.root)
            # Every size that was passed, not the last one alone: each may be certified already.
            self._certifier.applied(head.tree_size, head.root)
            self._count(result)
        else:
            self._metrics.block_void()
        self._author.on_result(result)
        self._stage.drop(BlockRef(height=block.header.height, hash=block.hash))

    def on_signed(self, size: TreeSize, root: Digest) -> None:
        """(size, root) is durable in the watermark."""
        self._signing.sign(size, root)

    def _count(self, result: AppliedBlock) -> None:
        applied = result.applied
        outcomes = list(zip(result.held.entries, applied.outcomes, strict=True))
        self._metrics.block_applied(
            height=applied.head.height,
            tree_size=applied.head.tree_size,
            applied=[
                kind_of(entry.body.happening)
                for entry, outcome in outcomes
                if outcome is Outcome.APPLIED and entry.body is not None
            ],
            refused=[outcome for _, outcome in outcomes if outcome is not Outcome.APPLIED],
            seconds=result.seconds,
        )
