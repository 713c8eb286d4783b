"""That the walk's two numbers differ whenever something acknowledged is missing or another."""

from caretree.crypto.pseudonym import PatientIdentifier
from caretree.model.ids import RecordId

from ops.demo.acknowledged import Account, Acknowledged, Found, content_hash, settle

FIRST, SECOND = RecordId(b"1" * 16), RecordId(b"2" * 16)
ACKNOWLEDGED = {
    record_id: Acknowledged(
        member="town",
        patient=PatientIdentifier(system="urn:example:card", value="C-1"),
        content_hash=content_hash(record_id),
    )
    for record_id in (FIRST, SECOND)
}


def test_all_fetched_and_all_verified_holds() -> None:
    found = Found(fetched={FIRST, SECOND}, verified={FIRST, SECOND})
    assert settle(ACKNOWLEDGED, found) == Account(acknowledged=2, fetched_and_verified=2)
    assert settle(ACKNOWLEDGED, found).holds


def test_an_acknowledged_record_that_nobody_has_does_not_hold() -> None:
    found = Found(fetched={FIRST}, verified={FIRST})
    assert settle(ACKNOWLEDGED, found) == Account(acknowledged=2, fetched_and_verified=1)
    assert not settle(ACKNOWLEDGED, found).holds


def test_a_record_counts_only_with_its_receipt_and_a_receipt_only_with_its_record() -> None:
    found = Found(fetched={FIRST}, verified={SECOND})
    assert settle(ACKNOWLEDGED, found).fetched_and_verified == 0


def test_what_nobody_acknowledged_makes_up_for_nothing() -> None:
    stranger = RecordId(b"3" * 16)
    found = Found(fetched={FIRST, stranger}, verified={FIRST, stranger})
    assert not settle(ACKNOWLEDGED, found).holds
