"""The messages of a history: several records each, within bounds."""

from collections.abc import AsyncIterator

import pytest
from caretree.model.ids import RecordId, TimeMs
from caretree.model.limits import CONTENT_BYTES_MAX
from caretree.node.calls import HistoryRecord
from caretree.rpc import records as answering

from tests.ledger.builders import TOWN

pytestmark = pytest.mark.asyncio


async def _parts_of(sizes: list[int]) -> list[list[int]]:
    """How many bytes of content each record of each message holds."""

    async def records() -> AsyncIterator[HistoryRecord]:
        for size in sizes:
            yield HistoryRecord(
                custodian=TOWN,
                time_ms=TimeMs(1),
                closed=False,
                record_id=RecordId(bytes(16)),
                position=None,
                erased=False,
                content=bytes(size),
                media_type="text/plain",
                replaced_by=None,
                document_id=bytes(16),
                part=0,
            )

    return [
        [len(each.content) for each in part.records] async for part in answering._parts(records())
    ]


async def test_a_message_of_a_history_holds_so_many_records_and_no_more() -> None:
    most = answering.PART_RECORDS_MAX
    assert await _parts_of([]) == []
    assert await _parts_of([1] * most) == [[1] * most]
    assert await _parts_of([1] * (most + 1)) == [[1] * most, [1]]


async def test_a_message_of_a_history_holds_so_many_bytes_unless_one_record_has_more() -> None:
    most = answering.PART_BYTES_MAX
    assert await _parts_of([most - 1, 1]) == [[most - 1, 1]]
    assert await _parts_of([most - 1, 2]) == [[most - 1], [2]]
    assert await _parts_of([most + 1, 1, most]) == [[most + 1], [1], [most]]
    assert most >= CONTENT_BYTES_MAX
