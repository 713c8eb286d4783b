"""A batch's signature is computed once, whoever meets the batch again, and never for another's."""

import pytest
from caretree.crypto import remembering
from caretree.crypto.ed25519 import verify
from caretree.crypto.remembering import RememberingCheck
from caretree.ledger.apply import apply_block
from caretree.ledger.batches import assemble_batch
from caretree.ledger.holding import NotHeldError, hold_batch
from caretree.ledger.values import VoidReason

from tests.ledger.builders import TOWN
from tests.ledger.people import PATIENT
from tests.ledger.worlds import World


def counted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The messages whose signatures are computed from now on."""
    computed: list[bytes] = []

    def counting(public_key: bytes, message: bytes, signature: bytes, /) -> None:
        computed.append(message)
        verify(public_key, message, signature)

    monkeypatch.setattr(remembering, "verify", counting)
    return computed


def test_a_batch_that_was_held_is_not_computed_again_at_apply(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, check = World(), RememberingCheck()
    batch = world.batch(TOWN, world.keyring(TOWN, PATIENT)[0])
    hold_batch(batch, world.rules, check=check)
    computed = counted(monkeypatch)

    held = world.hold(world.block(batch))
    applied = apply_block(world.store, world.head, held, world.rules, world.edge, check=check)

    assert not isinstance(applied, VoidReason)
    assert computed == []


def test_a_batch_under_anothers_signature_is_neither_held_nor_applied() -> None:
    world, check = World(), RememberingCheck()
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
