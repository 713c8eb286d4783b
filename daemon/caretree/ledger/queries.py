"""Questions to the applied state: a patient's history and grants, first answers, the trail, places.

The history that a reader is shown and the one that apply compares a reading with come from the
same functions here, so a reading drafted on the newest state is valid there.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from caretree.ledger.access import Reader, is_live, may_list_closed, open_custodians
from caretree.ledger.patient_rows import (
    CustodianState,
    GrantState,
    HistoryRow,
    decode_custodian,
    decode_grant,
    decode_history,
)
from caretree.ledger.row_keys import (
    custodian_key,
    height_key,
    history_key,
    leaves_key,
    patient_stop,
    read_height,
    read_leaf_index,
    request_name,
    trail_key,
)
from caretree.ledger.rows import (
    BlockPlace,
    FirstAnswer,
    RecordPlace,
    decode_block_place,
    decode_first_answer,
    decode_kind,
    decode_outcomes,
    decode_record_place,
)
from caretree.ledger.values import EntryKind, Outcome, Page, Patient, Position
from caretree.merkle.shape import TREE_SIZE_MAX
from caretree.model.ids import (
    GrantId,
    Height,
    LeafIndex,
    MemberId,
    Place,
    RecordId,
    RequestId,
    TimeMs,
)
from caretree.model.limits import PAGE_SIZE_MAX
from caretree.storage.keys import Table
from caretree.storage.ports import Reads


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryItem:
    """A record of a history, and whether it is open to the reader."""

    leaf_index: LeafIndex
    row: HistoryRow
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryView:
    """A page of a history as one reader may see it, newest first.

    Without `standing` it is empty, whether the patient has records or not.
    """

    standing: bool
    items: tuple[HistoryItem, ...]
    next_before: int | None  # where the next page begins; None on the last

    @property
    def open_ids(self) -> tuple[RecordId, ...]:
        """The records released, in order: what a reading of this page names."""
        return tuple(item.row.record_id for item in self.items if item.is_open)


NO_VIEW = HistoryView(standing=False, items=(), next_before=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailItem:
    """One entry of the trail; what it says is in its body."""

    leaf_index: LeafIndex
    kind: EntryKind


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailPage:
    """A page of the trail, newest first."""

    items: tuple[TrailItem, ...]
    next_before: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafPlace:
    """Where a leaf of the tree comes from; place is None for a seal."""

    height: Height
    block: BlockPlace
    place: Place | None


def history_page(
    reads: Reads, reader: Reader, patient: Patient, page: Page, now_ms: TimeMs
) -> HistoryView:
    """The page of the patient's history for this reader, as of this state and block time."""
    assert 1 <= page.size <= PAGE_SIZE_MAX
    blinded = reads.blind(patient.pseudonym)
    opened = open_custodians(reader, grants_of(reads, patient), now_ms)
    if not may_list_closed(open_to_reader=opened, custodians=custodians_of(reads, patient)):
        return NO_VIEW
    rows = reads.scan(
        Table.HISTORY, start=blinded, stop=history_key(blinded, page.before), reverse=True
    )
    items: list[HistoryItem] = []
    for key, value in rows:
        if len(items) == page.size:
            last = items[-1].leaf_index
            return HistoryView(standing=True, items=tuple(items), next_before=last)
        row = decode_history(value)
        items.append(
            HistoryItem(leaf_index=read_leaf_index(key), row=row, is_open=row.custodian in opened)
        )
    return HistoryView(standing=True, items=tuple(items), next_before=None)


def record_view(
    reads: Reads, reader: Reader, patient: Patient, record_id: RecordId, now_ms: TimeMs
) -> HistoryItem | None:
    """The one record for this reader; None when the patient has no such record.

    What is not there and what is not open must give a caller the same answer.
    """
    record = record_place(reads, record_id)
    if record is None or record.pseudonym != patient.pseudonym:
        return None
    leaf_index = record.position.leaf_index
    row = history_row(reads, patient, leaf_index)
    if row is None:
        return None
    opened = open_custodians(reader, grants_of(reads, patient), now_ms)
    return HistoryItem(leaf_index=leaf_index, row=row, is_open=row.custodian in opened)


def history_row(reads: Reads, patient: Patient, leaf_index: LeafIndex) -> HistoryRow | None:
    """The history's row for the record at this leaf, if there is one."""
    key = history_key(reads.blind(patient.pseudonym), leaf_index)
    value = reads.get(Table.HISTORY, key)
    return None if value is None else decode_history(value)


def custodian_state(reads: Reads, patient: Patient, member: MemberId) -> CustodianState | None:
    """The member's keyring for the patient, if it has one."""
    key = custodian_key(reads.blind(patient.pseudonym), reads.blind(member.encode()))
    value = reads.get(Table.CUSTODIAN, key)
    return None if value is None else decode_custodian(value)


def custodians_of(reads: Reads, patient: Patient) -> frozenset[MemberId]:
    """The members that wrote a record of the patient; a keyring alone makes no custodian."""
    rows = _patient_rows(reads, Table.CUSTODIAN, patient)
    states = (decode_custodian(value) for _, value in rows)
    return frozenset(state.custodian for state in states if state.has_records)


def grants_of(reads: Reads, patient: Patient) -> tuple[GrantState, ...]:
    """Every grant of the patient, dead ones too, oldest first."""
    grants = [
        decode_grant(GrantId(key), value)
        for key, value in _patient_rows(reads, Table.GRANT, patient)
    ]
    return tuple(sorted(grants, key=lambda grant: grant.leaf_index))


def grants_of_custodian(
    reads: Reads, patient: Patient, custodian: MemberId
) -> tuple[GrantState, ...]:
    """The grants of the patient that this custodian gave and did not take back, oldest first."""
    return tuple(
        grant
        for grant in grants_of(reads, patient)
        if grant.custodian == custodian and grant.revoked_ms is None
    )


def live_grantees(
    reads: Reads, patient: Patient, custodian: MemberId, now_ms: TimeMs
) -> frozenset[MemberId]:
    """To whom, beside the custodian, a new keyring epoch is sealed at this block time."""
    return frozenset(
        grant.grantee
        for grant in grants_of_custodian(reads, patient, custodian)
        if is_live(grant, now_ms)
    )


def first_answer(reads: Reads, member: MemberId, request_id: RequestId) -> FirstAnswer | None:
    """What came of the member's request; None while it has not taken effect."""
    value = reads.get(Table.REQUEST, reads.blind(request_name(member, request_id)))
    return None if value is None else decode_first_answer(value)


def record_place(reads: Reads, record_id: RecordId) -> RecordPlace | None:
    """Where the record stands and whose it is; None when there is none. No right is asked here."""
    value = reads.get(Table.RECORD, record_id)
    return None if value is None else decode_record_place(value)


def block_place(reads: Reads, height: Height) -> BlockPlace | None:
    """Where the applied block of this height stands in the tree."""
    value = reads.get(Table.HEIGHT, height_key(height))
    return None if value is None else decode_block_place(value)


def outcomes_at(reads: Reads, height: Height) -> tuple[Outcome, ...] | None:
    """What apply made of each entry of the block, in order."""
    value = reads.get(Table.OUTCOME, height_key(height))
    return None if value is None else decode_outcomes(value)


def leaf_place(reads: Reads, leaf_index: LeafIndex) -> LeafPlace | None:
    """The block and place whose leaf this is; None beyond the tree."""
    if not 0 <= leaf_index < TREE_SIZE_MAX:
        return None
    found = next(reads.scan(Table.LEAVES, stop=leaves_key(leaf_index + 1), reverse=True), None)
    if found is None:
        return None
    height = read_height(found[1])
    block, outcomes = block_place(reads, height), outcomes_at(reads, height)
    if block is None or outcomes is None or leaf_index > block.seal_index:
        return None
    if leaf_index == block.seal_index:
        return LeafPlace(height=height, block=block, place=None)
    applied = [place for place, outcome in enumerate(outcomes) if outcome is Outcome.APPLIED]
    place = Place(applied[leaf_index - block.first_leaf])
    return LeafPlace(height=height, block=block, place=place)


def position_of(reads: Reads, height: Height, place: Place) -> Position | None:
    """Where the entry at this place of an applied block stands; None when it was refused."""
    block, outcomes = block_place(reads, height), outcomes_at(reads, height)
    if block is None or outcomes is None or place >= len(outcomes):
        return None
    if outcomes[place] is not Outcome.APPLIED:
        return None
    before = outcomes[:place].count(Outcome.APPLIED)
    return Position(height=height, place=place, leaf_index=LeafIndex(block.first_leaf + before))


def trail_page(reads: Reads, page: Page) -> TrailPage:
    """Who did what, all entries but records: those with the largest leaf indexes below."""
    return _trail(reads.scan(Table.TRAIL, stop=trail_key(page.before), reverse=True), page)


def patient_trail_page(reads: Reads, patient: Patient, page: Page) -> TrailPage:
    """As `trail_page`, of one patient alone."""
    blinded = reads.blind(patient.pseudonym)
    stop = history_key(blinded, page.before)
    return _trail(reads.scan(Table.PATIENT_TRAIL, start=blinded, stop=stop, reverse=True), page)


def _trail(rows: Iterator[tuple[bytes, bytes]], page: Page) -> TrailPage:
    assert 1 <= page.size <= PAGE_SIZE_MAX
    items: list[TrailItem] = []
    for key, value in rows:
        if len(items) == page.size:
            return TrailPage(items=tuple(items), next_before=items[-1].leaf_index)
        items.append(TrailItem(leaf_index=read_leaf_index(key), kind=decode_kind(value)))
    return TrailPage(items=tuple(items), next_before=None)


def _patient_rows(reads: Reads, table: Table, patient: Patient) -> Iterator[tuple[bytes, bytes]]:
    """The table's rows of the patient: what follows the blinded name in the key, and the value."""
    blinded = reads.blind(patient.pseudonym)
    for key, value in reads.scan(table, start=blinded, stop=patient_stop(blinded)):
        yield key[len(blinded) :], value
