"""Receipts of what was just applied: from memory, the same bytes as from the store."""

from collections.abc import Sequence
from typing import cast

import pytest
from caretree.crypto.ed25519 import verify
from caretree.crypto.remembering import RememberingCheck
from caretree.ledger.certificate import (
    add_lines,
    certification,
    certification_policy,
    format_certified_note,
    sign_lines,
    start_certificate,
)
from caretree.ledger.receipt_files import build_receipt_with
from caretree.ledger.receipts import verify_receipt
from caretree.ledger.values import Head, Outcome, Position
from caretree.merkle.checkpoint import Checkpoint
from caretree.model.errors import CaretreeError
from caretree.model.ids import TimeMs
from caretree.model.reasons import CallError, Reason
from caretree.node.applier import AppliedBlock
from caretree.node.certifier import Certified, Certifier
from caretree.node.proofs import FRESH_BLOCKS_MAX, SEAL_LEAVES_MAX, SHARED_PARTS_MAX, Proofs

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.ledger.people import PATIENT
from tests.ledger.worlds import World
from tests.node.bench import Bench, FixedClock, metrics


class Signed:
    """A certifier that is told what is certified."""

    def __init__(self) -> None:
        self.newest: Certified | None = None


class Desk:
    """Proofs over a store in memory, which follow a world block by block."""

    def __init__(self) -> None:
        self.world = World()
        self.key = self.world.open_keyring(TOWN, PATIENT)
        self.bench = Bench()
        self.signed = Signed()
        self.metrics = metrics()
        self.proofs = self.started()
        self.positions: list[Position] = []
        for step in self.world.steps[1:]:
            self._apply(step.held)

    def started(self) -> Proofs:
        """Proofs that remember nothing, as after a start."""
        return Proofs(
            reads=self.bench.store,
            genesis=self.world.rules,
            policy=certification_policy(self.world.rules),
            certifier=cast("Certifier", self.signed),
            clock=FixedClock(),
            check=RememberingCheck(),
            metrics=self.metrics,
        )

    def block(self, records: int = 3, *, certified: bool = True) -> list[Position]:
        """Where the records of a new block stand; one more, a duplicate, is refused."""
        request = self.world.request()
        drafts = [self.world.record(TOWN, PATIENT, self.key) for _ in range(records - 1)]
        same = [self.world.record(TOWN, PATIENT, self.key, request=request) for _ in range(2)]
        outcomes = self.world.run(TOWN, *drafts, *same)
        assert outcomes == (*(Outcome.APPLIED,) * records, Outcome.DUPLICATE)
        positions = self._apply(self.world.steps[-1].held)
        if certified:
            self.certify(self.world.head)
        return positions

    def certify(self, head: Head, *, time_s: int = 1_800_000_000) -> None:
        """Let the quorum sign this head's tree."""
        rules = self.world.rules
        checkpoint = Checkpoint(origin=rules.origin, size=head.tree_size, root=head.root)
        lines = [
            line
            for member in (TOWN, HOSPITAL, OFFICE)
            for line in sign_lines(
                checkpoint,
                peer=self.world.consortium[member].as_peer(),
                sign_log=self.world.consortium[member].peer.log.sign,
                sign_cosigner=self.world.consortium[member].peer.cosigner.sign,
                time_s=time_s,
            )
        ]
        rule = certification(rules)
        certificate = add_lines(start_certificate(checkpoint), lines, rule).certificate
        self.signed.newest = Certified(
            size=head.tree_size,
            root=head.root,
            note=format_certified_note(certificate, rule),
            since_ms=TimeMs(0),
        )

    def check(self, positions: Sequence[Position], proofs: Proofs | None = None) -> None:
        """The receipts verify, are of these entries, and are those made from the store."""
        afresh = self.started()
        policy = certification_policy(self.world.rules)
        for position in positions:
            receipt = (proofs or self.proofs).entry_receipt(position)
            told = verify_receipt(receipt, policy, verify)
            assert (told.leaf_index, told.seal.height) == (position.leaf_index, position.height)
            assert receipt == afresh.receipt(position.leaf_index).receipt

    def _apply(self, held: object) -> list[Position]:
        result = self.bench.feed(held)  # type: ignore[arg-type] # a HeldBlock, as the world made it
        assert isinstance(result, AppliedBlock)
        self.proofs.applied(result)
        return [position for position in result.applied.positions if position is not None]


def test_fresh_receipts_are_those_that_are_made_from_the_store() -> None:
    desk = Desk()
    for records in (1, 2, 5, 9):
        desk.check(desk.block(records))


def test_a_fresh_receipt_reads_nothing_from_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    desk.block()
    positions = desk.block()

    def unread(*_args: object, **_kwargs: object) -> bytes:
        raise AssertionError

    for name in ("get", "scan"):
        monkeypatch.setattr(type(desk.bench.store), name, unread)
    receipts = [desk.proofs.entry_receipt(position) for position in positions]

    assert len(set(receipts)) == len(positions)


def test_an_entry_is_proven_under_a_later_certificate_than_its_blocks_own() -> None:
    desk = Desk()
    positions = [*desk.block(certified=False), *desk.block(certified=False), *desk.block()]

    desk.check(positions)


def test_an_entry_that_is_not_certified_yet_has_no_receipt() -> None:
    desk = Desk()
    desk.block()
    for position in desk.block(certified=False):
        with pytest.raises(CallError) as caught:
            desk.proofs.entry_receipt(position)
        assert caught.value.reason is Reason.NOT_CERTIFIED


def test_a_size_that_is_signed_again_is_served_under_its_newest_note() -> None:
    desk = Desk()
    positions = desk.block()
    early = desk.proofs.entry_receipt(positions[0])
    desk.certify(desk.world.head, time_s=1_800_000_060)
    late = desk.proofs.entry_receipt(positions[0])

    assert desk.signed.newest is not None
    assert late.endswith(desk.signed.newest.note)
    assert early != late
    desk.check(positions)


def test_so_much_is_kept_in_memory_and_what_is_older_comes_from_the_store() -> None:
    desk = Desk()
    positions: list[Position] = []
    blocks = max(FRESH_BLOCKS_MAX, SEAL_LEAVES_MAX, SHARED_PARTS_MAX) + 2
    for _ in range(blocks):
        positions += desk.block(1)
        desk.proofs.entry_receipt(positions[-1])
    desk.check(positions)
    desk.check(positions, desk.started())

    assert len(desk.proofs._fresh_blocks) == FRESH_BLOCKS_MAX
    assert len(desk.proofs._seal_leaves) == SEAL_LEAVES_MAX
    assert len(desk.proofs._shared) == SHARED_PARTS_MAX


def test_a_receipt_that_fails_the_own_verifier_does_not_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()
    (position,) = desk.block(1)

    def faulty(*args: object, **parts: object) -> bytes:
        return build_receipt_with(*args, **{**parts, "salt": bytes(32)})  # type: ignore[arg-type]

    desk.proofs.entry_receipt(position)
    monkeypatch.setattr("caretree.node.proofs.build_receipt_with", faulty)
    with pytest.raises(CaretreeError, match="own verifier"):
        desk.proofs.entry_receipt(position)
    monkeypatch.undo()
    failed = desk.metrics.registry.get_sample_value("caretree_node_self_check_failures_total")

    assert failed == 1
    desk.check([position])
