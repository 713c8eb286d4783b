"""When a size is certified, whom that wakes, and which contradiction stops a peer."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from caretree.crypto.ed25519 import verify
from caretree.ledger.certificate import certification, certification_policy, sign_lines
from caretree.merkle.checkpoint import Checkpoint
from caretree.merkle.lines import SignatureLine
from caretree.merkle.note import parse_note
from caretree.merkle.policy import verify_checkpoint
from caretree.model.ids import Digest, LeafIndex, MemberId, TreeSize
from caretree.node import certifier as certifying
from caretree.node import desk as desks
from caretree.node.certifier import Certified, Certifier, DivergenceError

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN, founder, founders
from tests.node.bench import FixedClock, log_to, metrics

OWN = Digest(b"o" * 32)
OTHER = Digest(b"x" * 32)
SIZE = TreeSize(40)
GENESIS = founders().genesis


class Tree:
    """The own tree: the root is OWN at every size that it has reached."""

    def __init__(self, size: int) -> None:
        self.size = size

    def root(self, size: TreeSize) -> Digest | None:
        return OWN if size <= self.size else None


class Desk:
    """A certifier and what it said."""

    def __init__(self, tree_size: int = SIZE) -> None:
        self.tree = Tree(tree_size)
        self.lines: list[bytes] = []
        self.metrics = metrics()
        self.certifier = Certifier(
            certification(GENESIS),
            FixedClock(),
            own_root=self.tree.root,
            newest=None,
            check=verify,
            metrics=self.metrics,
            log=log_to(self.lines),
        )

    def add(
        self, *members: MemberId, root: Digest = OWN, size: TreeSize = SIZE
    ) -> tuple[SignatureLine, ...]:
        return self.certifier.add(size, root, lines_of(*members, root=root, size=size))

    def newest(self) -> Certified | None:
        return self.certifier.newest

    def grow(self, size: TreeSize) -> None:
        self.tree.size = size
        self.certifier.applied(size, OWN)


def lines_of(
    *members: MemberId, root: Digest = OWN, size: TreeSize = SIZE
) -> Sequence[SignatureLine]:
    checkpoint = Checkpoint(origin=GENESIS.origin, size=size, root=root)
    found: list[SignatureLine] = []
    for member in members:
        keys = founders()[member]
        found += sign_lines(
            checkpoint,
            peer=keys.as_peer(),
            sign_log=keys.peer.log.sign,
            sign_cosigner=keys.peer.cosigner.sign,
            time_s=1_800_000_000,
        )
    return found


def test_one_member_is_not_enough_and_two_of_three_are() -> None:
    desk = Desk()
    desk.add(TOWN)
    assert desk.newest() is None
    desk.add(HOSPITAL)
    newest = desk.newest()
    assert newest is not None
    assert (newest.size, newest.root) == (SIZE, OWN)
    verified = verify_checkpoint(parse_note(newest.note), certification_policy(GENESIS), verify)
    assert verified.checkpoint.size == SIZE


def test_cosignatures_without_a_log_line_do_not_certify() -> None:
    desk = Desk()
    cosigned = [line for m in (TOWN, HOSPITAL, OFFICE) for line in lines_of(m)[1:]]
    desk.certifier.add(SIZE, OWN, cosigned)
    assert desk.newest() is None
    desk.certifier.add(SIZE, OWN, lines_of(OFFICE)[:1])
    assert desk.newest() is not None


def test_what_was_known_before_is_no_news() -> None:
    desk = Desk()
    assert len(desk.add(TOWN)) == 2
    assert desk.add(TOWN) == ()
    assert len(desk.add(HOSPITAL)) == 3
    assert desk.add(HOSPITAL) == ()


def test_lines_of_strangers_and_over_other_roots_are_refused() -> None:
    desk = Desk()
    stranger = founder(TOWN, peer_seed="another")
    checkpoint = Checkpoint(origin=GENESIS.origin, size=SIZE, root=OWN)
    forged = sign_lines(
        checkpoint,
        peer=stranger.as_peer(),
        sign_log=stranger.peer.log.sign,
        sign_cosigner=stranger.peer.cosigner.sign,
        time_s=1_800_000_000,
    )
    assert desk.certifier.add(SIZE, OWN, forged) == ()
    assert desk.certifier.add(SIZE, OWN, lines_of(TOWN, HOSPITAL, root=OTHER)) == ()
    assert desk.newest() is None
    assert any(b"signature lines refused" in line for line in desk.lines)


def test_a_certificate_that_comes_before_the_block_counts_once_it_is_applied() -> None:
    desk = Desk(tree_size=10)
    desk.add(TOWN, HOSPITAL)
    assert desk.newest() is None
    assert desk.certifier.largest_size == SIZE
    desk.grow(SIZE)
    assert desk.newest() is not None


def test_a_smaller_certificate_does_not_take_the_place_of_a_larger_one() -> None:
    desk = Desk()
    desk.add(TOWN, HOSPITAL)
    desk.add(TOWN, HOSPITAL, size=TreeSize(SIZE - 1))
    newest = desk.newest()
    assert newest is not None
    assert newest.size == SIZE
    assert desk.certifier.signed_size(TOWN) == SIZE
    assert desk.certifier.members_signed(SIZE) == 2


def test_another_certified_root_of_an_applied_size_stops_the_peer() -> None:
    desk = Desk()
    with pytest.raises(DivergenceError, match=str(SIZE)):
        desk.add(TOWN, HOSPITAL, root=OTHER)
    assert desk.metrics.registry.get_sample_value("caretree_node_divergence_total") == 1


def test_another_certified_root_stops_the_peer_when_it_reaches_that_size() -> None:
    desk = Desk(tree_size=10)
    desk.add(TOWN, HOSPITAL, root=OTHER)
    with pytest.raises(DivergenceError):
        desk.grow(SIZE)


def test_another_certified_root_of_a_size_passed_within_a_block_stops_the_peer() -> None:
    desk = Desk(tree_size=10)
    desk.add(TOWN, HOSPITAL, root=OTHER)
    with pytest.raises(DivergenceError, match=str(SIZE)):
        desk.grow(TreeSize(SIZE + 5))


def test_a_size_passed_within_a_block_that_is_not_certified_stops_nobody() -> None:
    desk = Desk(tree_size=10)
    desk.add(TOWN, root=OTHER)
    desk.grow(TreeSize(SIZE + 5))
    with pytest.raises(DivergenceError):
        desk.add(HOSPITAL, root=OTHER)


@pytest.mark.parametrize("members", [(TOWN,), (HOSPITAL,), (OFFICE,)])
def test_another_root_that_is_not_certified_stops_nobody(members: tuple[MemberId, ...]) -> None:
    desk = Desk()
    desk.add(*members, root=OTHER)
    desk.add(TOWN, HOSPITAL)
    newest = desk.newest()
    assert newest is not None
    assert newest.root == OWN


def test_lines_of_so_many_sizes_are_kept_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certifying, "SIZES_PER_KEY", 2)
    desk = Desk()
    most = 2 * 2 * len(certification(GENESIS).keys)
    for size in range(1, most + 1):
        desk.add(TOWN, size=TreeSize(size))
    assert len(desk.certifier.lines(TreeSize(1), OWN)) == 2
    desk.add(TOWN, size=TreeSize(most + 1))
    kept = [size for size in range(1, most + 2) if desk.certifier.lines(TreeSize(size), OWN)]
    # A key's line may come after another's of the same size, which makes one more.
    assert kept == list(range(kept[0], most + 2))
    assert 2 <= len(kept) <= 3


def test_who_signs_size_after_size_pushes_out_no_line_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(certifying, "SIZES_PER_KEY", 4)
    desk = Desk(tree_size=2)
    desk.add(TOWN)
    for size in range(1000, 1200):
        desk.add(HOSPITAL, size=TreeSize(size), root=OTHER)
    assert len(desk.certifier._certificates) <= 2 * 4 * len(certification(GENESIS).keys)
    desk.add(OFFICE)
    assert len(desk.certifier.lines(SIZE, OWN)) == 4
    desk.grow(SIZE)
    newest = desk.newest()
    assert newest is not None
    assert newest.size == SIZE


@pytest.mark.asyncio
async def test_a_waiter_is_woken_by_the_first_size_that_covers_its_leaf() -> None:
    desk = Desk()
    below = asyncio.create_task(desk.certifier.wait(SIZE - 1))
    at = asyncio.create_task(desk.certifier.wait(SIZE))
    above = asyncio.create_task(desk.certifier.wait(SIZE + 1))
    await asyncio.sleep(0)
    desk.add(TOWN, HOSPITAL)
    assert (await below).size == (await at).size == SIZE
    await asyncio.sleep(0)
    assert not above.done()
    above.cancel()
    await asyncio.gather(above, return_exceptions=True)
    assert desk.certifier._waiters == {}
    assert (await desk.certifier.wait(SIZE)).size == SIZE


@pytest.mark.asyncio
async def test_who_gives_up_waiting_for_a_certificate_leaves_nothing_behind() -> None:
    certifier = Desk().certifier
    desk = cast("desks.Desk", SimpleNamespace(certifier=certifier))
    deadline = asyncio.get_running_loop().time() + desks.ANSWER_TIME_S + 0.02
    await desks.Desk.certified(desk, LeafIndex(SIZE), deadline=deadline)
    assert certifier._waiters == {}
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_what_comes_after_certification_is_verified_later_and_only_once() -> None:
    desk = Desk()
    desk.add(TOWN)
    desk.add(HOSPITAL)
    checked: list[bytes] = []
    desk.certifier._check = lambda key, *_: checked.append(key)

    for size in (SIZE, TreeSize(SIZE - 1)):
        assert desk.add(OFFICE, size=size) == ()
    assert checked == []
    assert desk.certifier.signed_size(OFFICE) == 0

    desk.certifier.take_late()
    desk.certifier.take_late()
    assert len(checked) == 3  # the hospital's log line, which came too late to be needed, and two
    assert desk.certifier.signed_size(OFFICE) == SIZE
    assert len(desk.certifier.lines(SIZE, OWN)) == 6


def test_a_late_line_over_another_root_is_looked_at_at_once() -> None:
    desk = Desk()
    desk.add(TOWN)
    desk.add(HOSPITAL)
    desk.add(HOSPITAL, root=OTHER)
    with pytest.raises(DivergenceError):
        desk.add(OFFICE, root=OTHER)


def test_a_late_line_that_is_bad_is_left_out() -> None:
    desk = Desk()
    desk.add(TOWN)
    desk.add(HOSPITAL)
    forged = [replace(line, signature=bytes(len(line.signature))) for line in lines_of(OFFICE)]
    desk.certifier.add(SIZE, OWN, forged)
    desk.certifier.take_late()
    assert desk.certifier.signed_size(OFFICE) == 0


def test_a_forged_late_line_takes_the_place_of_none_that_another_sent() -> None:
    desk = Desk()
    desk.add(TOWN)
    desk.add(HOSPITAL)
    genuine = lines_of(OFFICE)
    forged = [replace(line, signature=bytes(len(line.signature))) for line in genuine]
    office, liar = (founders()[member].peer.peer for member in (OFFICE, TOWN))

    desk.certifier.add(SIZE, OWN, genuine, sender=office)
    desk.certifier.add(SIZE, OWN, forged, sender=liar)
    desk.certifier.take_late()

    assert desk.certifier.signed_size(OFFICE) == SIZE
    assert len(desk.certifier.lines(SIZE, OWN)) == 6


def test_what_names_no_line_has_no_root_looked_up() -> None:
    desk = Desk()
    desk.add(TOWN)
    desk.add(HOSPITAL)
    looked: list[int] = []
    desk.certifier._own_root = looked.append
    assert desk.certifier.add(TreeSize(SIZE - 1), OWN, []) == ()
    assert looked == []
