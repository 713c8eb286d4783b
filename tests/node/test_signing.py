"""This peer's own lines: sent to the leader, and made again when the log is idle."""

from types import SimpleNamespace
from typing import cast

import pytest
from caretree.crypto.ed25519 import verify
from caretree.crypto.keystore import PeerKeys
from caretree.crypto.remembering import RememberingCheck
from caretree.ledger.certificate import certification
from caretree.model.ids import Digest, PeerId, TreeSize
from caretree.node import signing as signings
from caretree.node.certifier import Certifier
from caretree.node.signing import Signing
from caretree.node.transport import Transport
from caretree.proto.peer.v1 import peer_pb2

from tests.ledger.builders import HOSPITAL, TOWN, founders
from tests.node.bench import FixedClock, log_to, metrics

GENESIS = founders().genesis
ROOT = Digest(b"r" * 32)
SIZE = TreeSize(9)


class Desk:
    """The town's signing, and what it sent to whom."""

    def __init__(self) -> None:
        self.sent: list[tuple[PeerId, peer_pb2.Signatures]] = []
        town = founders()[TOWN]
        own = GENESIS.peer(town.peer.peer)
        assert own is not None
        keys = PeerKeys(batch=town.peer.batch, log=town.peer.log, cosigner=town.peer.cosigner)
        certifier = Certifier(
            certification(GENESIS),
            FixedClock(),
            own_root=lambda _size: ROOT,
            newest=None,
            check=verify,
            metrics=metrics(),
            log=log_to([]),
        )
        self.signing = Signing(
            genesis=GENESIS,
            own=own,
            keys=keys,
            clock=FixedClock(),
            certifier=certifier,
            check=RememberingCheck(),
        )
        carrier = SimpleNamespace(
            send_signatures=lambda to, lines: self.sent.append((to, lines)),
            spread_signatures=lambda lines: self.sent.append((PeerId(0), lines)),
        )
        self.signing.attach(cast("Transport", carrier))


def lines_of(message: peer_pb2.Signatures) -> tuple[str, ...]:
    return tuple(message.lines)


def test_a_follower_sends_its_two_lines_to_the_leader_and_to_a_new_one_again() -> None:
    desk, leader = Desk(), founders()[HOSPITAL].peer.peer
    desk.signing.on_leader(leader)
    desk.signing.sign(SIZE, ROOT)
    desk.signing.on_leader(leader)

    assert [to for to, _ in desk.sent] == [leader, leader]
    assert all(
        (sent.tree_size, sent.root, len(sent.lines)) == (SIZE, ROOT, 2) for _, sent in desk.sent
    )
    assert lines_of(desk.sent[0][1]) == lines_of(desk.sent[1][1])


def test_an_idle_log_is_signed_again_after_a_minute_whatever_the_wall_clock_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk, now_s = Desk(), [100.0]
    monkeypatch.setattr("caretree.node.signing.time.monotonic", lambda: now_s[0])
    desk.signing.on_leader(founders()[HOSPITAL].peer.peer)
    desk.signing.sign(SIZE, ROOT)
    now_s[0] += signings.IDLE_RESIGN_S - 0.1
    desk.signing.sign_when_idle()
    assert len(desk.sent) == 1
    now_s[0] += 0.1
    desk.signing.sign_when_idle()
    assert len(desk.sent) == 2
    desk.signing.sign_when_idle()
    assert len(desk.sent) == 2
