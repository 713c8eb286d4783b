"""Which rows are measured, what is compared with what, and the smallest run of all."""

import asyncio
import io
import json
import sys
from pathlib import Path
from typing import Final

import pytest
from rich.console import Console

from ops.bench import etcd, groups
from ops.bench.founding import found_all
from ops.bench.goals import GOALS, judge
from ops.bench.million import Grown, Size, grown
from ops.bench.options import parse
from ops.bench.peers import LEADS, Caller
from ops.bench.report import MISSED, NOT_MEASURED, REACHED, load_table, verdict
from ops.bench.rows import chosen, rows
from ops.bench.showing import Telling, show
from ops.bench.stopped import Receipts, opened, proof_figures
from ops.bench.supply import Supply
from ops.bench.values import Baseline, Spread, System, percentile
from ops.demo.consortium import TOWN
from ops.demo.daemons import Daemon, stop_all
from ops.demo.running import connected, lead_from
from tests.ops.bench_results import (
    NOT_MEASURED as NO_ETCD,
)
from tests.ops.bench_results import figure, load, puts, results, txns
from tests.shared import PROJECT_ROOT

# Founding takes eighteen commands; a machine five times slower still has the time for them.
RUN_S_MAX: Final = 240


def test_every_row_of_etcd_stands_before_those_that_are_compared_with_it() -> None:
    seen: set[str] = set()
    for row in rows():
        assert row.baseline is None or row.baseline in seen
        seen.add(row.name)
    assert len(seen) == len(rows())


def test_a_row_brings_along_what_it_is_compared_with() -> None:
    names = [row.name for row in chosen(frozenset({groups.UNARY}), etcd=True)]

    assert names == ["puts.1", "unary.1", "puts.16", "unary.16", "puts.128", "unary.128"]


def test_without_etcd_only_caretree_is_loaded() -> None:
    found = chosen(groups.ALL, etcd=False)

    assert {row.system for row in found} == {System.CARETREE}
    assert {row.group for row in found} == groups.LOADS


def test_a_group_that_is_measured_alone_has_no_rows_of_load() -> None:
    assert chosen(frozenset({groups.HISTORY}), etcd=True) == ()


def test_the_command_line_chooses_groups() -> None:
    options = parse(["--only", "batches,idle", "--no-etcd", "--rounds", "1"])

    assert options.order.groups == {"batches", "idle"}
    assert {row.group for row in options.order.rows} == {"batches"}
    assert not options.baseline.measured
    assert "--no-etcd" in options.baseline.why


def test_a_million_entries_are_asked_for_by_name_or_with_everything_else() -> None:
    assert groups.MILLION not in parse([]).order.groups
    assert parse(["--full"]).order.groups == groups.ALL | {groups.MILLION}
    alone = parse(["--only", "million", "--entries", "5000"]).order
    assert alone.groups == {groups.MILLION}
    assert alone.million.entries == 5000
    assert alone.consortia == ("small", "large")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--only", "unary,batch"], "there is no batch"),
        (["--rounds", "0"], "--rounds: expected more than 0"),
        (["--seconds", "-1"], "--seconds: expected more than 0"),
        (["--entries", "0"], "--entries: expected more than 0"),
        (["now"], "now"),
    ],
)
def test_a_wrong_command_line_is_refused(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)

    assert ended.value.code == 2
    assert named in capsys.readouterr().err


def test_where_etcd_is_missing_the_bench_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")

    options = parse([])

    assert options.order.etcd is None
    assert options.baseline == Baseline(measured=False, why=etcd.HOW_TO_INSTALL)
    assert "apt-get install -y etcd-server" in options.baseline.why


def test_a_ratio_stands_where_both_sides_were_measured_and_nowhere_else() -> None:
    unary = load("unary", 16, rate=1000, baseline="puts")

    _, both = load_table(results(puts(16, rate=2000), unary))
    _, other = load_table(results(puts(1, rate=2000), unary))
    _, alone = load_table(results(unary, baseline=NO_ETCD))

    assert [row[4] for row in both] == ["", "0.50 x"]
    assert [row[4] for row in other] == ["", ""]
    assert [row[4] for row in alone] == [""]


def test_goals_against_etcd_are_not_judged_without_it() -> None:
    loads = (load("unary", 128, rate=1e6), load("client", 128, rate=1e6), load("client", 1, rate=9))

    judged = {each.goal.name: each for each in judge(results(*loads, baseline=NO_ETCD))}

    for name in ("unary", "client", "certified", "batches"):
        assert judged[name].value is None
        assert judged[name].reached is None
        assert verdict(judged[name]) == NOT_MEASURED


@pytest.mark.parametrize(
    ("rate", "expected"), [(1500.0, REACHED), (1499.0, MISSED)], ids=["just reached", "just missed"]
)
def test_the_client_library_is_judged_against_puts_with_as_many_in_flight(
    rate: float, expected: str
) -> None:
    found = results(puts(1, rate=9e9), puts(128, rate=1000), load("client", 128, rate=rate))

    (judged,) = (each for each in judge(found) if each.goal.name == "client")

    assert judged.value == rate / 1000
    assert verdict(judged) == expected


def test_batches_and_transactions_are_compared_each_at_its_best() -> None:
    found = results(
        txns(1, rate=100),
        txns(4, rate=200),
        load("batches", 1, rate=250),
        load("batches", 16, rate=9),
    )

    (judged,) = (each for each in judge(found) if each.goal.name == "batches")

    assert judged.value == 1.25
    assert judged.reached is True


def test_one_at_a_time_is_judged_by_the_median_wait() -> None:
    found = results(puts(1, rate=1, p50_ms=1.5), load("client", 1, rate=1, p50_ms=6.1))

    (judged,) = (each for each in judge(found) if each.goal.name == "certified")

    assert judged.value == pytest.approx(4.067, abs=0.001)
    assert judged.reached is False


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("history.p50", 20.0, 20.1),
        ("disk.ratio", 1.7, 1.71),
        ("million.loss", 10.0, 10.1),
        ("million.old", 2000.0, 1999.0),
        ("million.start", 10.0, 10.1),
        ("million.memory", 249.9, 250.0),
        ("idle.memory", 99.9, 100.0),
        ("import.rate", 300.0, 299.0),
        ("verify.anew", 1.0, 1.01),
    ],
)
def test_a_figure_is_good_up_to_its_goal_and_not_beyond(name: str, good: float, bad: float) -> None:
    def reached(value: float) -> list[bool]:
        judged = judge(results(figures=(figure(name, value),), entries=1_000_000))
        return [each.reached for each in judged if each.reached is not None]

    assert reached(good) == [True]
    assert reached(bad) == [False]


def test_proofs_are_judged_by_the_largest_tree_that_was_measured() -> None:
    figures = (figure("proofs.old", 9000), figure("million.old", 1000))

    def judged(entries: int) -> float | None:
        found = judge(results(figures=figures, entries=entries))
        return next(each.value for each in found if each.goal.name == "proofs")

    assert judged(1_000_000) == 1000
    assert judged(999_999) == 9000


def test_goals_of_a_million_entries_are_not_judged_by_fewer() -> None:
    figures = (figure("million.start", 1), figure("million.memory", 1), figure("million.loss", 1))

    found = judge(results(figures=figures, entries=20_000))

    assert [each.goal.name for each in found if each.reached is not None] == []


def test_the_median_of_rounds_has_the_slowest_and_the_fastest_beside_it() -> None:
    assert Spread.of([3.0, 1.0, 10.0]) == Spread(median=3.0, low=1.0, high=10.0)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([3.0], 50, 3.0),
        ([1.0, 2.0], 50, 1.0),
        ([3.0, 1.0, 2.0], 50, 2.0),
        (list(map(float, range(1, 201))), 99, 198.0),
        (list(map(float, range(1, 201))), 100, 200.0),
    ],
)
def test_a_percentile_is_a_value_that_was_measured(
    values: list[float], percent: int, expected: float
) -> None:
    assert percentile(values, percent) == expected


def test_contents_do_not_repeat_soon_and_records_go_round_all_patients() -> None:
    supply = Supply(patients=50)

    assert len({supply.content(number) for number in range(1000)}) == 1000
    assert {len(supply.content(number)) for number in range(10)} == {1024}
    assert len({supply.patient(number) for number in range(50)}) == 50
    assert Supply(patients=50).content(7) == supply.content(7)


def test_people_are_shown_what_was_reached_in_colours() -> None:
    console = Console(record=True, width=140, force_terminal=True, file=io.StringIO())
    found = results(
        puts(128, rate=1000),
        load("client", 128, rate=9000, baseline="puts"),
        figures=(figure("history.p50", 50),),
    )

    show(console, found)

    text = console.export_text(clear=False)
    assert "9.00 x" in text
    assert REACHED in text
    assert MISSED in text
    assert "goals not measured: batches" in text
    assert "\x1b[32mreached" in console.export_text(styles=True)


def test_goals_have_names_of_their_own() -> None:
    assert len({goal.name for goal in GOALS}) == len(GOALS)


@pytest.mark.processes
@pytest.mark.timeout(RUN_S_MAX)
def test_the_smallest_bench_measures_without_etcd_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    arguments = (
        *("--only", "unary,batches,many,disk,proofs,verify", "--no-etcd", "--rounds", "1"),
        *("--seconds", "0.2", "--patients", "5", "--content-bytes", "100"),
        *("--directory", str(tmp_path), "--json", str(file)),
    )

    async def run() -> tuple[int | None, bytes]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ops.bench", *arguments),
            cwd=PROJECT_ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told, _ = await process.communicate()
        return process.returncode, told

    status, told = asyncio.run(run())

    assert status == 0, told.decode()
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["baseline"]["measured"] is False
    names = [
        f"{group}.{n}"
        for group, ns in (("unary", (1, 16, 128)), ("batches", (1, 4, 16)))
        for n in ns
    ]
    assert [row["name"] for row in found["rows"]] == [*names[:3], "many.512", *names[3:]]
    assert all(row["rate"]["median"] > 0 for row in found["rows"])
    assert {figure["name"] for figure in found["figures"]} >= {
        *("disk.ratio", "proofs.old", "proofs.fresh", "verify.anew", "verify.remembered")
    }
    assert "goals not measured: batches, client, unary, certified, " in told.decode()
    assert list(tmp_path.iterdir()) == [file], "what was made is removed"


@pytest.mark.processes
@pytest.mark.timeout(RUN_S_MAX)
def test_daemons_start_on_a_written_ledger_and_go_on_from_it(tmp_path: Path) -> None:
    size = Size(entries=250, entry_bytes=64, rounds=1, seconds=0.2, sustained_s=0.2, patients=20)
    supply = Supply(content_bytes=64, patients=20)
    daemons: list[Daemon] = []
    told = io.StringIO()

    async def begin_and_go_on() -> tuple[Grown, int]:
        founded = await found_all(tmp_path, ["small"])
        with Telling.on(Console(file=told), steps=1) as telling:
            begun = await grown(founded["small"], size, 250, daemons, telling)
        async with connected(begun.founded) as callers:
            await lead_from(callers, LEADS)
            async with Caller.connected(begun.founded, callers.record_system, supply) as caller:
                await caller.introduce(supply.patients)  # their keyrings are open already
            return begun, (await callers.operators[TOWN].status()).tree_size

    try:
        begun, leaves = asyncio.run(begin_and_go_on())
    finally:
        faults = stop_all(daemons)

    assert faults == []
    assert begun.leaves == 2 + 250 + 3, "block 0, entries, seals of three blocks"
    assert begun.leaves + 20 < leaves <= begun.leaves + 2 * 20, "records and seals, no keyring"
    assert "250 of 250 entries written" in told.getvalue()
    with opened(begun.founded.centres[TOWN]) as ledger:
        figures = proof_figures("million", ledger, Receipts(ledger))
    assert all(figure.value.low > 0 for figure in figures)
