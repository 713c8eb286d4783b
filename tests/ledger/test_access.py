"""The rules of access by themselves: a table of rights, and what one grant opens to whom."""

from dataclasses import replace

import pytest
from caretree.ledger.access import (
    Reader,
    covers,
    is_live,
    may_append,
    may_audit,
    may_grant,
    may_list_closed,
    may_open_keyring,
    may_read,
    may_revoke,
    open_custodians,
    open_to,
    opens_to_someone,
)
from caretree.ledger.patient_rows import GrantState, HistoryRow
from caretree.ledger.values import Purpose, Role, Rule
from caretree.model.ids import GrantId, Height, KeyId, LeafIndex, Place, RecordId, TimeMs

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.ledger.people import reader

END_MS = TimeMs(1_000)
BEFORE_END = TimeMs(999)
RULE = Rule(
    roles=frozenset((Role.PHYSICIAN,)),
    principals=frozenset(("nurse-zhao",)),
    purpose=Purpose.TREATMENT,
    until_ms=END_MS,
)
GRANT = GrantState(
    grant_id=GrantId(bytes(16)),
    custodian=TOWN,
    grantee=HOSPITAL,
    keyring_epoch=1,
    key_id=KeyId(bytes(32)),
    sealed_key=b"",
    rule=RULE,
    granted_ms=TimeMs(1),
    revoked_ms=None,
    leaf_index=LeafIndex(1),
)
ROW = HistoryRow(
    record_id=RecordId(bytes(16)),
    custodian=TOWN,
    keyring_epoch=1,
    time_ms=TimeMs(1),
    height=Height(1),
    place=Place(0),
    replaced_by=None,
)


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        (Role.PHYSICIAN, {may_append, may_open_keyring, may_read, may_grant, may_revoke}),
        (Role.NURSE, {may_append, may_open_keyring, may_read}),
        (Role.LABORATORY, {may_append, may_open_keyring, may_read}),
        (Role.REGISTRAR, {may_append, may_open_keyring, may_grant, may_revoke}),
        (Role.AUDITOR, {may_audit}),
    ],
)
def test_each_role_has_exactly_its_rights(role: Role, rights: set[object]) -> None:
    every = (may_append, may_open_keyring, may_read, may_grant, may_revoke, may_audit)

    assert {right for right in every if right(role)} == rights


def test_a_grant_lives_until_its_end_or_its_revoke() -> None:
    assert is_live(GRANT, BEFORE_END)
    assert not is_live(GRANT, END_MS)
    assert not is_live(replace(GRANT, revoked_ms=TimeMs(2)), BEFORE_END)


@pytest.mark.parametrize(
    ("by", "is_open"),
    [
        (reader(HOSPITAL), True),
        (reader(HOSPITAL, role=Role.NURSE, principal="nurse-zhao"), True),
        (reader(HOSPITAL, role=Role.NURSE), False),
        (reader(HOSPITAL, purpose=Purpose.PAYMENT), False),
        (reader(HOSPITAL, role=Role.AUDITOR, principal="nurse-zhao"), False),
        (reader(HOSPITAL, role=Role.REGISTRAR, principal="nurse-zhao"), False),
        (reader(OFFICE), False),
        (reader(OFFICE, principal="nurse-zhao"), False),
        (reader(TOWN), True),
        (reader(TOWN, role=Role.LABORATORY, purpose=Purpose.PAYMENT), True),
        (reader(TOWN, role=Role.REGISTRAR), False),
        (reader(TOWN, role=Role.AUDITOR), False),
    ],
)
def test_a_record_is_open_to_its_custodian_and_whom_a_live_grant_names(
    by: Reader, *, is_open: bool
) -> None:
    assert open_to(by, ROW, [GRANT], BEFORE_END) is is_open


def test_a_grant_opens_its_custodians_records_alone() -> None:
    of_office = replace(ROW, custodian=OFFICE)

    assert open_custodians(reader(HOSPITAL), [GRANT], BEFORE_END) == {HOSPITAL, TOWN}
    assert not open_to(reader(HOSPITAL), of_office, [GRANT], BEFORE_END)


def test_a_dead_grant_opens_nothing() -> None:
    revoked = replace(GRANT, revoked_ms=TimeMs(2))

    assert not open_to(reader(HOSPITAL), ROW, [GRANT], END_MS)
    assert not open_to(reader(HOSPITAL), ROW, [revoked], BEFORE_END)
    assert not covers(revoked, reader(HOSPITAL), BEFORE_END)


def test_closed_records_are_told_to_who_may_open_some_record_of_the_patient() -> None:
    custodians = frozenset((TOWN, OFFICE))

    for opened, told in (
        (frozenset((HOSPITAL, TOWN)), True),  # a live grant from a custodian
        (frozenset((OFFICE,)), True),  # a custodian's own person
        (frozenset((HOSPITAL,)), False),  # neither
        (frozenset(), False),  # reads no content at all
    ):
        assert may_list_closed(open_to_reader=opened, custodians=custodians) is told
    assert not may_list_closed(open_to_reader=frozenset((TOWN,)), custodians=frozenset())


def test_a_rule_is_for_someone_when_it_names_a_reader_or_a_principal_in_time() -> None:
    nobody = replace(RULE, roles=frozenset((Role.AUDITOR, Role.REGISTRAR)), principals=frozenset())

    assert opens_to_someone(RULE, BEFORE_END)
    assert not opens_to_someone(RULE, END_MS)
    assert not opens_to_someone(nobody, BEFORE_END)
