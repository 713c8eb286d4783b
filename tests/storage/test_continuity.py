"""A database that lost batches from its middle is known; one that lost its tail is not."""

import random
from collections.abc import Iterator

import pytest
from caretree.storage.continuity import WINDOW, BatchNumbers, LogFill, batch_cost
from caretree.storage.errors import StorageLostError

BUFFER = 10_000


class History:
    """Batches as LevelDB keeps them: rows are found by replaying those that are not lost."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[bytes, bytes | None]]] = []
        self.costs: list[int] = []
        self._numbers = BatchNumbers.begin(write_buffer_bytes=BUFFER)

    def write(self, *costs: int) -> None:
        for cost in costs:
            self.batches.append(self._numbers.next_rows(cost=cost))
            self.costs.append(cost)

    def start_again(self) -> None:
        self._numbers = self.resume()

    def resume(self, lost: range = range(0)) -> BatchNumbers:
        return BatchNumbers.resume(self.rows(lost).items(), write_buffer_bytes=BUFFER)

    def rows(self, lost: range = range(0)) -> dict[bytes, bytes]:
        rows: dict[bytes, bytes] = {}
        for number, batch in enumerate(self.batches):
            if number in lost:
                continue
            for key, value in batch:
                if value is None:
                    rows.pop(key, None)
                else:
                    rows[key] = value
        return rows


def buffers(history: History) -> Iterator[range]:
    """Runs of batches, each as large as a table that LevelDB writes when its buffer is full."""
    start, cost = 0, 0
    for number, added in enumerate(history.costs):
        cost += added
        if cost >= BUFFER:
            yield range(start, number + 1)
            start, cost = number + 1, 0


@pytest.fixture(scope="module")
def long_history() -> History:
    chance = random.Random(20)
    history = History()
    for _ in range(6):
        history.write(*(chance.choice([0, 5, 40, 400]) for _ in range(WINDOW // 3)))
        history.start_again()
    history.write(1)
    return history


def test_a_whole_history_is_taken_up_where_it_ended(long_history: History) -> None:
    numbers = long_history.resume()
    first = numbers.next_rows(cost=0)[0]

    assert first[0] == b"\x00batch" + (len(long_history.batches) + 1).to_bytes(8, "big")


def test_any_gap_among_the_latest_batches_is_a_loss() -> None:
    history = History()
    history.write(*([30] * 60))

    for start in range(59):
        for length in (1, 2, 7):
            lost = range(start, min(start + length, 59))
            with pytest.raises(StorageLostError):
                history.resume(lost)


def test_a_lost_table_is_noticed_however_old_it_is(long_history: History) -> None:
    tables = list(buffers(long_history))
    assert len(tables) > 100

    for lost in [*tables[:10], *tables[10::17], tables[-1]]:
        with pytest.raises(StorageLostError):
            long_history.resume(lost)


def test_the_small_table_at_the_end_of_a_run_is_missed_even_when_it_is_old() -> None:
    history = History()
    history.write(*([10] * 20))
    history.start_again()
    history.write(*([10] * (WINDOW + 50)))

    # The run's first batch may be in an older table than its last ones.
    for start in range(1, 20):
        with pytest.raises(StorageLostError):
            history.resume(range(start, 20))


def test_a_history_without_its_beginning_is_a_loss(long_history: History) -> None:
    for length in (1, 300, len(long_history.batches) - 1):
        with pytest.raises(StorageLostError):
            long_history.resume(range(length))
    with pytest.raises(StorageLostError):
        long_history.resume(range(len(long_history.batches)))


def test_a_lost_tail_is_not_the_door_s_to_notice(long_history: History) -> None:
    count = len(long_history.batches)

    for length in (1, 2, 100, WINDOW + 3):
        long_history.resume(range(count - length, count))


def test_writing_goes_on_after_a_lost_tail(long_history: History) -> None:
    cut = History()
    cut.batches = long_history.batches[:-40]
    cut.start_again()
    cut.write(*([100] * 3 * WINDOW))

    cut.resume()
    with pytest.raises(StorageLostError):
        cut.resume(range(len(long_history.batches) - 41, len(long_history.batches) + 100))


def test_old_rows_are_removed_but_for_a_few_in_each_buffer(long_history: History) -> None:
    rows = long_history.rows()

    assert WINDOW <= len(rows) <= WINDOW + 2 * sum(long_history.costs) // BUFFER + 20


def test_a_log_is_taken_for_full_only_near_the_size_of_the_buffer() -> None:
    fill = LogFill(newest_log=3, write_buffer_bytes=BUFFER * 10)

    answers = [fill.add(1000) for _ in range(200)]

    assert answers == [False] * answers.index(True) + [True] * (200 - answers.index(True))
    assert 80 < answers.index(True) < 100


def test_a_new_log_begins_with_the_batch_that_opened_it() -> None:
    fill = LogFill(newest_log=3, write_buffer_bytes=BUFFER * 10)
    assert fill.add(BUFFER * 11)

    fill.saw_log(3, cost=BUFFER)
    assert fill.add(1)
    fill.saw_log(5, cost=BUFFER)
    assert not fill.add(BUFFER * 8)
    assert fill.add(BUFFER)


def test_a_row_costs_more_than_its_bytes() -> None:
    assert batch_cost([(b"k" * 9, b"v" * 100)]) > 109 + 8 * 12
    assert batch_cost([(b"k", None)]) > 100
    assert batch_cost([(b"k", None), (b"k", b"v")]) > 201
    assert batch_cost([]) == 0
