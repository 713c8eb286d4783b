"""Signatures over tree sizes: this peer's own, those of others, and when they suffice.

Own lines are made only for a size that was applied, after (size, root) is durable in the watermark.
Every line of others is verified before it is kept. A certified root that contradicts the own tree
stops the peer.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from caretree.ledger.certificate import Certification, SizeCertificate
from caretree.model.errors import FatalError
from caretree.model.ids import TimeMs, TreeSize
from caretree.node.clock import Clock
from caretree.proto.peer.v1 import peer_pb2

log = structlog.get_logger()

# Sizes of which lines are kept in memory; a slow signer may be this many blocks behind.
SIZES_MAX: Final = 1024


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
    root: bytes
    note: bytes
    since_ms: TimeMs


class Certifier:
    """Collects lines, and wakes who waits for a certified size."""

    def __init__(
        self,
        certification: Certification,
        clock: Clock,
        *,
        own_root: Callable[[TreeSize], bytes | None],
        newest: Certified | None,
    ) -> None:
        self._certification = certification
        self._clock = clock
        self._own_root = own_root
        self._sizes: OrderedDict[tuple[int, bytes], SizeCertificate] = OrderedDict()
        self._newest = newest
        self._waiters: list[tuple[int, asyncio.Future[Certified]]] = []
        self.signed_sizes: dict[int, int] = {}

    @property
    def newest(self) -> Certified | None:
        """The newest certified checkpoint of a tree that is applied here."""
        return self._newest

    def add(self, size: TreeSize, root: bytes, lines: tuple[str, ...]) -> peer_pb2.Signatures | None:
        """Take lines in; the whole set to be spread when something was learnt, else None.

        Raises:
            DivergenceError: with these lines another root than the own is certified.
        """
        key = (size, root)
        known = self._sizes.get(key) or self._certification.empty(size, root)
        merged = self._certification.merge(known, lines)
        if merged.lines == known.lines:
            return None
        self._sizes[key] = merged
        while len(self._sizes) > SIZES_MAX:
            self._sizes.popitem(last=False)
        for peer in merged.signers:
            self.signed_sizes[peer] = max(self.signed_sizes.get(peer, 0), size)
        if merged.certified:
            self._note_certified(merged)
        return peer_pb2.Signatures(
            tree_size=size, root=root, lines=[line.text for line in merged.lines]
        )

    def applied(self, size: TreeSize) -> None:
        """Note that the own tree has grown to `size`: a certificate may have come before.

        Raises:
            DivergenceError: as for `add`.
        """
        for certificate in list(self._sizes.values()):
            if certificate.size == size and certificate.certified:
                self._note_certified(certificate)

    async def wait(self, size: int) -> Certified:
        """The first certified checkpoint of a tree of at least `size` leaves."""
        if self._newest is not None and self._newest.size >= size:
            return self._newest
        waiter: asyncio.Future[Certified] = asyncio.get_running_loop().create_future()
        self._waiters.append((size, waiter))
        try:
            return await waiter
        finally:
            self._waiters = [each for each in self._waiters if each[1] is not waiter]

    def _note_certified(self, certificate: SizeCertificate) -> None:
        own = self._own_root(certificate.size)
        if own is None:
            return  # not applied here yet; looked at again when it is
        if own != certificate.root:
            raise DivergenceError(certificate.size)
        if self._newest is not None and self._newest.size > certificate.size:
            return
        self._newest = Certified(
            size=certificate.size,
            root=certificate.root,
            note=certificate.note(),
            since_ms=self._clock.now_ms(),
        )
        for size, waiter in self._waiters:
            if size <= certificate.size and not waiter.done():
                waiter.set_result(self._newest)
