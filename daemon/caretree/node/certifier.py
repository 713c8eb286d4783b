"""Signatures over tree sizes: this peer's own, those of others, and when they suffice.

Own lines are made only for a size that was applied, after (size, root) is durable in the watermark.
Every line of others is verified before it is kept. A certified root that contradicts the own tree
stops the peer.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from caretree.ledger.certificate import (
    Certification,
    add_lines,
    format_certified_note,
    is_certified,
    start_certificate,
)
from caretree.merkle.certificate import Certificate
from caretree.merkle.checkpoint import Checkpoint
from caretree.merkle.keys import SignatureType
from caretree.merkle.lines import SignatureCheck, SignatureLine
from caretree.model.errors import FatalError
from caretree.model.ids import Digest, MemberId, PeerId, TimeMs, TreeSize
from caretree.node.clock import Clock
from caretree.telemetry.logs import Logger
from caretree.telemetry.metrics import Metrics

# Of each key, lines over the newest so many sizes are kept; a slow signer may be as many blocks
# behind. Room is made when there are twice as many as that comes to.
SIZES_PER_KEY: Final = 64


class DivergenceError(FatalError):
    """A certified checkpoint contradicts this peer's own tree."""

    def __init__(self, size: int) -> None:
        super().__init__(
            f"the certified root of tree size {size} is not this peer's: its tree or the"
            " certificate is wrong; keep the data directory and compare with other members"
        )
        self.size = size


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """The newest certified checkpoint: a signed note, and when it was certified here."""

    size: TreeSize
    root: Digest
    note: bytes
    since_ms: TimeMs


class Certifier:
    """Collects lines, and wakes who waits for a certified size."""

    def __init__(
        self,
        rule: Certification,
        clock: Clock,
        *,
        own_root: Callable[[TreeSize], Digest | None],
        newest: Certified | None,
        check: SignatureCheck,
        metrics: Metrics,
        log: Logger,
    ) -> None:
        self._check = check
        self._metrics = metrics
        self._log = log
        self._rule = rule
        self._clock = clock
        self._own_root = own_root
        self._certificates: OrderedDict[Checkpoint, Certificate] = OrderedDict()
        self._newest = newest
        self._largest = 0 if newest is None else newest.size
        self._applied = 0
        self._waiters: dict[asyncio.Future[Certified], int] = {}
        self._signed_sizes: dict[MemberId, int] = {}
        self._signers = {(key.name, key.key_id): key.signature_type for key in rule.keys}
        # By who sent it too: none of them is verified yet, and a forged one must not take the place
        # of another that its signer, or somebody else, has sent.
        self._late: dict[tuple[PeerId | None, str, bytes], tuple[Checkpoint, SignatureLine]] = {}

    @property
    def newest(self) -> Certified | None:
        """The newest certified checkpoint of a tree that is applied here."""
        return self._newest

    @property
    def largest_size(self) -> int:
        """The largest size known to be certified; the own tree may not have grown so far yet."""
        return self._largest

    def signed_size(self, member: MemberId) -> int:
        """The largest tree size that the member is known here to have co-signed."""
        return self._signed_sizes.get(member, 0)

    def members_signed(self, size: TreeSize) -> int:
        """How many members are known here to have co-signed this size or a larger one."""
        return sum(signed >= size for signed in self._signed_sizes.values())

    def add(
        self,
        size: TreeSize,
        root: Digest,
        lines: Iterable[SignatureLine],
        *,
        sender: PeerId | None = None,
    ) -> tuple[SignatureLine, ...]:
        """Take lines in; all lines known of this checkpoint when something was learnt, else none.

        The sender is None for this peer's own.
        What comes once a size is certified proves no more of it, and waits for `take_late`: that
        of a log key above all, for a voter has its own.

        Raises:
            DivergenceError: with these lines another root than the own is certified.
        """
        checkpoint = Checkpoint(origin=self._rule.origin, size=size, root=root)
        cosigned, others = self._sorted(lines)
        known: tuple[SignatureLine, ...] = ()
        for group in (cosigned, others):
            if not group:
                continue
            if self._is_settled(checkpoint):
                self._keep_late(checkpoint, group, sender)
            else:
                known = self._merge(checkpoint, group) or known
        return known

    def take_late(self) -> None:
        """Verify what came late, of each signer the newest from each sender.

        Who signs at all is worth knowing.

        Called once a second, so that under load no block costs more signatures than certify it.
        """
        late, self._late = self._late, {}
        by_checkpoint: dict[Checkpoint, list[SignatureLine]] = {}
        for checkpoint, line in late.values():
            by_checkpoint.setdefault(checkpoint, []).append(line)
        for checkpoint, lines in by_checkpoint.items():
            self._merge(checkpoint, lines)

    def _sorted(
        self, lines: Iterable[SignatureLine]
    ) -> tuple[list[SignatureLine], list[SignatureLine]]:
        """The lines of co-signers, and those of log keys and strangers."""
        cosigned: list[SignatureLine] = []
        others: list[SignatureLine] = []
        for line in lines:
            kind = self._signers.get((line.name, line.key_id))
            (cosigned if kind is SignatureType.COSIGNATURE else others).append(line)
        return cosigned, others

    def _is_settled(self, checkpoint: Checkpoint) -> bool:
        """Whether this size is certified with this root, or lies below one that is."""
        newest = self._newest
        if newest is None or checkpoint.size > newest.size:
            return False
        return self._own_root(checkpoint.size) == checkpoint.root

    def _keep_late(
        self, checkpoint: Checkpoint, lines: Iterable[SignatureLine], sender: PeerId | None
    ) -> None:
        unknown = 0
        for line in lines:
            if (line.name, line.key_id) not in self._signers:
                unknown += 1
                continue
            of = (sender, line.name, line.key_id)
            known = self._late.get(of)
            if known is None or known[0].size <= checkpoint.size:
                self._late[of] = (checkpoint, line)
        if unknown:
            self._log.warning("signature lines refused", bad=0, unknown=unknown)

    def _merge(
        self, checkpoint: Checkpoint, lines: Iterable[SignatureLine]
    ) -> tuple[SignatureLine, ...]:
        known = self._certificates.get(checkpoint) or start_certificate(checkpoint)
        merged = add_lines(known, lines, self._rule, check=self._check)
        if merged.bad or merged.unknown:
            self._log.warning(
                "signature lines refused", bad=len(merged.bad), unknown=len(merged.unknown)
            )
        if merged.certificate.lines == known.lines:
            return ()
        self._keep(merged.certificate)
        return self.lines(checkpoint.size, checkpoint.root)

    def lines(self, size: TreeSize, root: Digest) -> tuple[SignatureLine, ...]:
        """All lines known of this checkpoint."""
        checkpoint = Checkpoint(origin=self._rule.origin, size=size, root=root)
        known = self._certificates.get(checkpoint)
        return () if known is None else tuple(verified.line for verified in known.lines)

    def applied(self, size: TreeSize, root: Digest) -> None:
        """Note that the own tree has grown to `size`: a certificate may have come before.

        Raises:
            DivergenceError: as for `add`.
        """
        before, self._applied = self._applied, size
        if self._largest <= before:
            return  # nothing larger than the own tree was is certified yet, as nearly always
        for certificate in tuple(self._certificates.values()):
            certified = certificate.checkpoint.size
            # Also a size that the own tree has passed within a block: others ended theirs there.
            if before < certified <= size and is_certified(certificate, self._rule):
                own_root = root if certified == size else self._own_root(certified)
                assert own_root is not None, "the own tree is larger"
                self._note_certified(certificate, own_root=own_root)

    async def wait(self, size: int) -> Certified:
        """The first certified checkpoint of a tree of at least `size` leaves."""
        if self._newest is not None and self._newest.size >= size:
            return self._newest
        waiter: asyncio.Future[Certified] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = size
        try:
            return await waiter
        finally:
            del self._waiters[waiter]

    def _keep(self, certificate: Certificate) -> None:
        checkpoint = certificate.checkpoint
        self._certificates[checkpoint] = certificate
        if len(self._certificates) > 2 * SIZES_PER_KEY * len(self._rule.keys):
            self._make_room()
        for verified in certificate.lines:
            if verified.key.signature_type is SignatureType.COSIGNATURE:
                member = self._rule.member(verified.key)
                signed = max(self._signed_sizes.get(member, 0), checkpoint.size)
                self._signed_sizes[member] = signed
        if not is_certified(certificate, self._rule):
            return
        self._largest = max(self._largest, checkpoint.size)
        own_root = self._own_root(checkpoint.size)
        if own_root is not None:
            self._note_certified(certificate, own_root=own_root)

    def _make_room(self) -> None:
        """Forget the oldest sizes, but none that counts among the newest of some key.

        So who signs one made-up size after the other pushes out only what it signed alone.
        """
        counts = Counter(
            verified.key
            for certificate in self._certificates.values()
            for verified in certificate.lines
        )
        for checkpoint, certificate in tuple(self._certificates.items()):
            keys = [verified.key for verified in certificate.lines]
            if all(counts[key] > SIZES_PER_KEY for key in keys):
                counts.subtract(keys)
                del self._certificates[checkpoint]

    def _note_certified(self, certificate: Certificate, *, own_root: Digest) -> None:
        """Take a certified checkpoint that the own tree has reached; wake who waits for it."""
        checkpoint = certificate.checkpoint
        if own_root != checkpoint.root:
            self._metrics.diverged()
            raise DivergenceError(checkpoint.size)
        if self._newest is not None and self._newest.size > checkpoint.size:
            return
        self._newest = Certified(
            size=checkpoint.size,
            root=checkpoint.root,
            note=format_certified_note(certificate, self._rule),
            since_ms=self._clock.now_ms(),
        )
        self._metrics.certified(tree_size=checkpoint.size, timestamp_s=self._newest.since_ms / 1000)
        self._metrics.cosignatures(
            held=self.members_signed(checkpoint.size), quorum=self._rule.quorum
        )
        for waiter, size in self._waiters.items():
            if size <= checkpoint.size and not waiter.done():
                waiter.set_result(self._newest)
