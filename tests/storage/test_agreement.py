"""The fake and the real door give the same answers to the same script, power cuts included."""

import shutil
import tempfile
from pathlib import Path

import pytest
from caretree.storage.keys import Table
from caretree.storage.memory import MemoryStore
from caretree.storage.ports import Batch, Reads
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from typing_extensions import override

from tests.storage.stores import STORAGE_KEY, create, reopen, rows_of

TABLES = st.sampled_from([Table.RAFT_LOG, Table.PAYLOAD, Table.BODY, Table.PEER_STATE])
KEYS = st.binary(max_size=2) | st.sampled_from([b"", b"\x00", b"\xff", b"\xff\xff"])
ROWS = st.lists(st.tuples(TABLES, KEYS, st.none() | st.binary(max_size=40)), max_size=8)

Pair = tuple[Reads, Reads]


class Agreement(RuleBasedStateMachine):
    """One script on both stores."""

    views = Bundle("views")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="caretree-agreement-"))
        self.real = create(self.folder / "db")
        self.fake = MemoryStore(storage_key=STORAGE_KEY)
        self.synced_bytes = self.log().stat().st_size
        self.live: list[Pair] = []  # the views that no closing has ended

    def log(self) -> Path:
        return max((self.folder / "db").glob("*.log"))

    @override
    def teardown(self) -> None:
        self.real.close()
        shutil.rmtree(self.folder)

    @rule(rows=ROWS, sync=st.booleans())
    def write(self, rows: list[tuple[Table, bytes, bytes | None]], sync: bool) -> None:
        self.real.write(Batch(rows=list(rows)), sync=sync)
        self.fake.write(Batch(rows=list(rows)), sync=sync)
        if sync:
            self.synced_bytes = self.log().stat().st_size

    @rule(table=TABLES, key=KEYS)
    def get(self, table: Table, key: bytes) -> None:
        assert self.real.get(table, key) == self.fake.get(table, key)

    @rule(table=TABLES, start=KEYS, stop=st.none() | KEYS, reverse=st.booleans())
    def scan(self, table: Table, start: bytes, stop: bytes | None, reverse: bool) -> None:
        real = list(self.real.scan(table, start=start, stop=stop, reverse=reverse))

        assert real == list(self.fake.scan(table, start=start, stop=stop, reverse=reverse))

    @rule(target=views)
    def view(self) -> Pair:
        pair = (self.real.view(), self.fake.view())
        self.live.append(pair)
        return pair

    @rule(pair=views, table=TABLES)
    def read_view(self, pair: Pair, table: Table) -> None:
        real, fake = pair
        if pair in self.live:
            assert rows_of(real, table) == rows_of(fake, table)

    @rule(target=views, pair=consumes(views))
    def drop_view(self, pair: Pair) -> object:
        if pair in self.live:
            self.live.remove(pair)
        return multiple()

    @rule()
    def start_again(self) -> None:
        self.real.close()
        self.real = reopen(self.folder / "db")
        self.fake = self.fake.crash(surviving=self.fake.unsynced_batches)
        self.synced_bytes = 0
        self.live.clear()

    @rule(fraction=st.floats(0, 1))
    def cut_the_power(self, fraction: float) -> None:
        self.real.close()
        content = self.log().read_bytes()
        unsynced = len(content) - self.synced_bytes
        self.log().write_bytes(content[: self.synced_bytes + int(fraction * unsynced)])
        self.real = reopen(self.folder / "db")
        self.synced_bytes = 0
        self.live.clear()

        real = [rows_of(self.real, table) for table in Table]
        possible = [
            self.fake.crash(surviving=batches) for batches in range(self.fake.unsynced_batches + 1)
        ]
        alike = [fake for fake in possible if [rows_of(fake, table) for table in Table] == real]
        assert alike, "no number of surviving batches explains what is left"
        self.fake = alike[-1]

    @invariant()
    def the_same_rows_in_every_table(self) -> None:
        for table in (Table.PAYLOAD, Table.BODY):
            assert rows_of(self.real, table) == rows_of(self.fake, table)


@pytest.mark.slow
def test_random_scripts_read_alike_from_the_fake_and_the_door() -> None:
    run_state_machine_as_test(
        Agreement, settings=settings(max_examples=25, stateful_step_count=25, deadline=None)
    )
