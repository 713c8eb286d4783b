"""This peer's own signatures: made over what it applied, sent to the leader, spread by the leader.

The watermark with (size, root) is durable before anything here is called for that size.
"""

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from caretree.crypto.keystore import PeerKeys
from caretree.crypto.remembering import RememberingCheck
from caretree.ledger.certificate import sign_cosigner_line, sign_log_line
from caretree.ledger.genesis import Genesis
from caretree.ledger.members import Peer as PeerEntry
from caretree.merkle.checkpoint import Checkpoint
from caretree.merkle.lines import SignatureLine, format_line
from caretree.merkle.note import parse_note
from caretree.model.ids import Digest, PeerId, TreeSize
from caretree.node.certifier import Certifier
from caretree.node.clock import Clock
from caretree.node.proofs import Proofs
from caretree.node.transport import Transport
from caretree.proto.peer.v1 import peer_pb2
from caretree.raft.messages import NO_PEER

IDLE_RESIGN_S: Final = 60.0
RECENT_ROOTS_MAX: Final = 4096
# The members who co-signed once a leader's lines have come to a peer that signed as well.
_LEADER_AND_ANOTHER: Final = 2


class Roots:
    """The roots of the applied tree at block ends."""

    def __init__(self) -> None:
        self._recent: OrderedDict[int, Digest] = OrderedDict()
        self._proofs: Proofs | None = None
        self._applied = 0

    def attach(self, proofs: Proofs) -> None:
        """Name who knows the roots of older sizes."""
        self._proofs = proofs

    def applied(self, size: TreeSize, root: Digest) -> None:
        """Note that the tree has grown to `size`."""
        self._applied = size
        self._recent[size] = root
        if len(self._recent) > RECENT_ROOTS_MAX:
            self._recent.popitem(last=False)

    def root(self, size: TreeSize) -> Digest | None:
        """The root at `size`; None when the tree is not that large yet."""
        if size > self._applied or size < 1:
            return None
        recent = self._recent.get(size)
        if recent is not None or self._proofs is None:
            return recent
        return self._proofs.root(size)


class Signing:
    """Makes, sends and spreads signature lines."""

    def __init__(
        self,
        *,
        genesis: Genesis,
        own: PeerEntry,
        keys: PeerKeys,
        clock: Clock,
        certifier: Certifier,
        check: RememberingCheck,
    ) -> None:
        self._genesis = genesis
        self._own = own
        # What is signed here need not be verified here.
        self._sign_log = check.signing_with(keys.log)
        self._sign_cosigner = check.signing_with(keys.cosigner)
        self._clock = clock
        self._certifier = certifier
        self._transport: Transport | None = None
        self._leader = NO_PEER
        self._signed_at_s = 0.0  # by the monotonic clock, which no correction of the other moves
        self._newest: tuple[TreeSize, Digest, tuple[SignatureLine, ...]] | None = None
        self._spread_last: tuple[SignatureLine, ...] = ()

    def attach(self, transport: Transport) -> None:
        """Name who carries the lines."""
        self._transport = transport

    def on_leader(self, leader: PeerId) -> None:
        """Give the newest own lines to the new leader: it may never have seen them."""
        self._leader = leader
        if self._newest is not None:
            self._hand_out(*self._newest)

    def introduce(self, peer: PeerId) -> None:
        """Tell a peer whose stream was just opened what is certified, and give own lines."""
        newest = self._certifier.newest
        if self._transport is not None and newest is not None:
            lines = parse_note(newest.note).lines
            self._transport.send_signatures(peer, _message(newest.size, newest.root, lines))
        if self._newest is not None:
            if peer == self._leader:
                self._hand_out(*self._newest)
            elif self._leads and self._own_lines_suffice and self._transport is not None:
                self._transport.send_signatures(peer, _message(*self._newest))

    def sign(self, size: TreeSize, root: Digest) -> None:
        """Sign what is durable in the watermark.

        Raises:
            DivergenceError: another root of this size is certified.
        """
        if not self._own.signer:
            return
        checkpoint = Checkpoint(origin=self._genesis.origin, size=size, root=root)
        self._signed_at_s = time.monotonic()
        lines = [
            sign_cosigner_line(
                checkpoint,
                peer=self._own,
                sign=self._sign_cosigner,
                time_s=self._clock.now_ms() // 1000,
            )
        ]
        if self._own.voter:
            lines.insert(0, sign_log_line(checkpoint, peer=self._own, sign=self._sign_log))
        self._newest = (size, root, tuple(lines))
        self._certifier.add(size, root, lines)
        self._hand_out(*self._newest)

    def sign_when_idle(self) -> None:
        """Sign the newest size again when that was long ago, so that who looks sees life."""
        if self._newest is None:
            return
        if time.monotonic() - self._signed_at_s >= IDLE_RESIGN_S:
            self.sign(self._newest[0], self._newest[1])

    def learnt(self, size: TreeSize, root: Digest, lines: Sequence[SignatureLine]) -> None:
        """As leader, spread lines once they certify a size, where others need them for that."""
        if self._leads and not self._own_lines_suffice and self._is_certified(size):
            self._spread(size, root, lines)

    def spread_newest(self) -> None:
        """As leader, give everyone all lines of the newest certified size; called once a second.

        So those learn who signed that certified it with fewer lines, or signed nothing themselves.
        """
        self._certifier.take_late()
        newest = self._certifier.newest
        if not self._leads or newest is None:
            return
        lines = self._certifier.lines(newest.size, newest.root)
        if lines != self._spread_last:
            self._spread(newest.size, newest.root, lines)

    @property
    def _leads(self) -> bool:
        return self._leader == self._own.peer

    @property
    def _own_lines_suffice(self) -> bool:
        """Whether a leader's lines, and those of whoever gets them, certify a size."""
        return self._own.signer and self._genesis.certification_quorum <= _LEADER_AND_ANOTHER

    def _hand_out(self, size: TreeSize, root: Digest, lines: tuple[SignatureLine, ...]) -> None:
        if self._transport is None:
            return
        if not self._leads:
            if self._leader != NO_PEER:
                self._transport.send_signatures(self._leader, _message(size, root, lines))
        elif self._own_lines_suffice:
            # At once: a peer that has signed too then waits for nobody else.
            self._spread(size, root, lines)
        else:
            self.learnt(size, root, self._certifier.lines(size, root))

    def _is_certified(self, size: TreeSize) -> bool:
        newest = self._certifier.newest
        return newest is not None and newest.size >= size

    def _spread(self, size: TreeSize, root: Digest, lines: Sequence[SignatureLine]) -> None:
        if self._transport is not None and lines:
            self._spread_last = tuple(lines)
            self._transport.spread_signatures(_message(size, root, lines))


def _message(size: TreeSize, root: Digest, lines: Sequence[SignatureLine]) -> peer_pb2.Signatures:
    return peer_pb2.Signatures(
        tree_size=size, root=root, lines=[format_line(line).rstrip("\n") for line in lines]
    )
