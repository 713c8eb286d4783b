"""ops/docs/bench.md: its measured part and its pictures, made out of the JSON beside them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ops.bench.errors import BenchFailedError
from ops.bench.goals import judge
from ops.bench.plots import Bar, Plot, to_svg
from ops.bench.report import Table, figure_table, goal_table, load_table
from ops.bench.results import from_json, to_json
from ops.bench.values import LoadResult, Results, Spread

DOCS: Final = Path(__file__).parent.parent / "docs"
_BEGIN: Final = "<!-- measured: from here to the end mark `make bench DOCS=1` writes -->"
_END: Final = "<!-- measured: end -->"
_CALLS: Final = ("puts", "unary", "client")
_BATCHES: Final = ("txns", "batches", "plain")


def page_file(docs: Path = DOCS) -> Path:
    """The page."""
    return docs / "bench.md"


def results_file(docs: Path = DOCS) -> Path:
    """The results that the page shows."""
    return docs / "bench" / "latest.json"


def write_docs(results: Results, docs: Path = DOCS) -> None:
    """Show these results on the page, and keep them beside it.

    Raises:
        BenchFailedError: the page has no measured part.
        OSError: the disk says no.
    """
    text = to_json(results)
    kept = from_json(text)
    page = with_results(page_file(docs).read_text(encoding="utf-8"), kept)
    results_file(docs).parent.mkdir(exist_ok=True)
    results_file(docs).write_text(text, encoding="utf-8")
    for name, picture in pictures(kept).items():
        (docs / "bench" / name).write_text(picture, encoding="utf-8")
    page_file(docs).write_text(page, encoding="utf-8")


def with_results(page: str, results: Results) -> str:
    """The page with these results in its measured part; what people wrote around it stays.

    Raises:
        BenchFailedError: it has no measured part.
    """
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise BenchFailedError("the page has no marks around its measured part")
    return f"{before}{_BEGIN}\n\n{_measured(results)}\n{_END}{after}"


def pictures(results: Results) -> dict[str, str]:
    """The pictures by their files' names; one without bars is left out."""
    return {f"{plot.name}.svg": to_svg(plot) for plot in _plots(results)}


def _plots(results: Results) -> list[Plot]:
    def rate(load: LoadResult) -> Spread:
        return load.rate

    def wait(load: LoadResult) -> Spread:
        assert load.p50_ms is not None
        return load.p50_ms

    def cpu(load: LoadResult) -> Spread:
        return load.servers_cpu_s_per_1000

    plots = (
        _plot(
            results, name="calls", title="Single records", unit="records/s", of=_CALLS, value=rate
        ),
        _plot(
            results,
            name="batches",
            title="Batches of 100",
            unit="records/s",
            of=_BATCHES,
            value=rate,
        ),
        _plot(
            results,
            name="waits",
            title="Waiting for an answer, median",
            unit="ms",
            of=_CALLS,
            value=wait,
        ),
        _plot(
            results,
            name="processor",
            title="Processor time of all three servers for 1,000 records",
            unit="s",
            of=(*_CALLS, *_BATCHES),
            value=cpu,
        ),
    )
    return [plot for plot in plots if plot.groups]


def _plot(
    results: Results,
    *,
    name: str,
    title: str,
    unit: str,
    of: Sequence[str],
    value: Callable[[LoadResult], Spread],
) -> Plot:
    loads = [load for load in results.loads if load.name.partition(".")[0] in of]
    counts = sorted({load.in_flight for load in loads})
    return Plot(
        name=name,
        title=title,
        unit=unit,
        groups=[
            [
                Bar(
                    system=load.system,
                    label=f"{load.what}, {load.in_flight} in flight",
                    value=value(load),
                )
                for load in loads
                if load.in_flight == count
            ]
            for count in counts
        ],
    )


def _measured(results: Results) -> str:
    parts = [
        "### The machine",
        _facts(results),
        "### Goals",
        _markdown(goal_table(judge(results))),
        "### Load",
        *(f"![{name}](bench/{name})" for name in pictures(results)),
        _markdown(load_table(results)),
        "### Single figures",
        _markdown(figure_table(results.figures)),
    ]
    return "\n\n".join(parts) + "\n"


def _facts(results: Results) -> str:
    machine = results.machine
    baseline = results.baseline
    against = baseline.release if baseline.measured else f"not measured: {baseline.why}"
    rows = [
        *((name.replace("_", " "), f"{fact}") for name, fact in machine.items()),
        *((name.replace("_", " "), f"{fact}") for name, fact in results.settings.items()),
        ("baseline", against),
    ]
    return _markdown((("what", "found"), rows))


def _markdown(table: Table) -> str:
    columns, rows = table
    lines = [_line(columns), "|" + "---|" * len(columns), *(_line(row) for row in rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
