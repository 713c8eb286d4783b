"""What a client remembers of signatures and trees."""

import pytest
from caretree.client.errors import InconsistentLogError
from caretree.client.trust import Trust
from caretree.crypto.ed25519 import SigningKey
from caretree.crypto.remembering import REMEMBERED_SIGNATURES_MAX, RememberingCheck
from caretree.ledger.certificate import policy_text
from caretree.model.errors import VerificationError

from tests.ledger.builders import founders
from tests.ledger.samples import RECORD, body_of
from tests.rpc.fake_ledger import FakeLedger


def _trust() -> Trust:
    genesis = founders().genesis
    return Trust(policy_text=policy_text(genesis), origin=genesis.origin)


def test_good_signatures_are_remembered_up_to_a_bound_and_bad_ones_never() -> None:
    key = SigningKey.from_seed(bytes(32))
    check = RememberingCheck()
    for number in range(REMEMBERED_SIGNATURES_MAX + 1):
        message = number.to_bytes(2, "big")
        check(key.public_key, message, key.sign(message))
    for _ in range(2):
        with pytest.raises(VerificationError):
            check(key.public_key, b"another", key.sign(b"message"))

    assert len(check._good) == REMEMBERED_SIGNATURES_MAX


def test_the_first_tree_needs_no_proof_and_a_larger_one_does() -> None:
    trust, ledger = _trust(), FakeLedger(founders())
    _show(trust, ledger)
    first = trust.unproven
    ledger.add([body_of(RECORD)])
    _show(trust, ledger)
    second = trust.unproven
    assert second is not None
    trust.extend(second, ledger.consistency(*second))

    assert (first, second, trust.unproven) == (None, (2, 4), None)


def test_a_proof_of_other_sizes_than_are_due_proves_nothing() -> None:
    trust, ledger = _trust(), FakeLedger(founders())
    _show(trust, ledger)
    ledger.add([body_of(RECORD)])
    _show(trust, ledger)
    early = trust.unproven
    assert early is not None
    ledger.add([body_of(RECORD)])
    _show(trust, ledger)
    trust.extend(early, ledger.consistency(*early))

    due = trust.unproven
    assert due == (2, 6)
    with pytest.raises(InconsistentLogError):
        trust.extend(due, [bytes(32)])


def _show(trust: Trust, ledger: FakeLedger) -> None:
    assert trust.checkpoint(ledger.note()).size == ledger.size
