"""Batch signatures remembered: only good ones, by key, message and signature, and not too many."""

import pytest
from caretree.crypto.ed25519 import SigningKey, verify
from caretree.ledger import batch_checks
from caretree.ledger.apply import apply_block
from caretree.ledger.batch_checks import BATCHES_REMEMBERED_MAX, BatchCheck
from caretree.ledger.batches import assemble_batch
from caretree.ledger.holding import NotHeldError, hold_batch
from caretree.ledger.values import VoidReason
from caretree.model.errors import VerificationError

from tests.ledger.builders import TOWN
from tests.ledger.people import PATIENT
from tests.ledger.worlds import World

KEY = SigningKey.from_seed(bytes(range(32)))
MESSAGE = b"leaves"
SIGNATURE = KEY.sign(MESSAGE)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The messages whose signatures are computed from now on."""
    computed: list[bytes] = []

    def counting(public_key: bytes, message: bytes, signature: bytes, /) -> None:
        computed.append(message)
        verify(public_key, message, signature)

    monkeypatch.setattr(batch_checks, "verify", counting)
    return computed


def test_a_good_signature_is_computed_once_and_a_bad_one_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    computed, check = counted(monkeypatch), BatchCheck()

    for _ in range(3):
        check(KEY.public_key, MESSAGE, SIGNATURE)
        with pytest.raises(VerificationError):
            check(KEY.public_key, b"other", SIGNATURE)

    assert computed.count(MESSAGE) == 1
    assert computed.count(b"other") == 3


def test_what_was_signed_here_needs_no_computing_but_anything_else_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    computed, check = counted(monkeypatch), BatchCheck()
    check.remember(KEY.public_key, MESSAGE, SIGNATURE)

    check(KEY.public_key, MESSAGE, SIGNATURE)

    assert computed == []
    other = SigningKey.from_seed(bytes(32))
    for wrong in (
        (other.public_key, MESSAGE, SIGNATURE),
        (KEY.public_key, MESSAGE, other.sign(MESSAGE)),
    ):
        with pytest.raises(VerificationError):
            check(*wrong)


def test_no_more_than_so_many_are_remembered() -> None:
    check = BatchCheck()
    for number in range(BATCHES_REMEMBERED_MAX + 3):
        check.remember(KEY.public_key, b"%d" % number, SIGNATURE)

    assert len(check) == BATCHES_REMEMBERED_MAX


def test_a_batch_that_was_held_is_not_computed_again_at_apply(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, check = World(), BatchCheck()
    batch = world.batch(TOWN, world.keyring(TOWN, PATIENT)[0])
    hold_batch(batch, world.rules, check=check)
    computed = counted(monkeypatch)

    held = world.hold(world.block(batch))
    applied = apply_block(world.store, world.head, held, world.rules, world.edge, check=check)

    assert not isinstance(applied, VoidReason)
    assert computed == []


def test_a_batch_under_anothers_signature_is_neither_held_nor_applied() -> None:
    world, check = World(), BatchCheck()
    good = world.batch(TOWN, world.keyring(TOWN, PATIENT)[0])
    hold_batch(good, world.rules, check=check)
    other = world.batch(TOWN, world.denial(TOWN, PATIENT))
    forged = assemble_batch(
        author=other.author,
        leaves=other.leaves,
        signature=good.signature,
        openings=other.openings,
    )

    with pytest.raises(NotHeldError, match="signature"):
        hold_batch(forged, world.rules, check=check)
    held = world.hold(world.block(forged))
    outcome = apply_block(world.store, world.head, held, world.rules, world.edge, check=check)
    assert outcome is VoidReason.SIGNATURE
