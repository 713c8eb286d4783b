"""Results as JSON and as a page: nothing is lost, and page and figures never differ."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ops.bench.errors import BenchFailedError
from ops.bench.page import page_file, pictures, results_file, with_results, write_docs
from ops.bench.results import from_json, to_json
from ops.bench.values import Results
from tests.ops.bench_results import NOT_MEASURED, figure, load, puts, results, spread, txns


def some_results() -> Results:
    return results(
        puts(1, rate=650.5, p50_ms=1.5),
        load("client", 1, rate=300, p50_ms=3, baseline="puts"),
        txns(4, rate=12_345.678),
        load("batches", 4, rate=20_000, baseline="txns"),
        figures=(figure("history.p50", 12.5), figure("idle.memory", 91, unit="MB")),
    )


def test_what_is_written_as_json_is_read_back() -> None:
    once = from_json(to_json(some_results()))

    assert to_json(once) == to_json(some_results())
    assert from_json(to_json(once)) == once
    client = once.load("client.1")
    assert client is not None
    assert client.rate == spread(300, low=270, high=330)
    assert client.baseline == "puts.1"
    assert once.machine == some_results().machine


def test_json_says_whether_the_baseline_was_measured_and_judges_no_ratio_without_it() -> None:
    found = json.loads(to_json(results(load("client", 128, rate=9), baseline=NOT_MEASURED)))

    assert found["baseline"] == {
        "measured": False,
        "release": "",
        "why": "etcd is not installed here",
    }
    goals = {goal["name"]: goal for goal in found["goals"]}
    assert goals["client"] == {
        "name": "client",
        "promise": "at least 1.5 x",
        "value": None,
        "unit": "x",
        "reached": None,
    }


def test_json_has_machine_settings_and_the_spread_of_the_rounds() -> None:
    found = json.loads(to_json(some_results()))

    assert found["machine"]["processors"] == 2
    assert found["settings"]["rounds"] == 3
    row = next(row for row in found["rows"] if row["name"] == "batches.4")
    assert row["rate"] == {"median": 20000, "low": 18000, "high": 22000}
    assert row["system"] == "Caretree"


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"format": 2}', '{"format": 1, "machine": [], "settings": {}}'],
)
def test_what_are_no_results_is_refused(text: str) -> None:
    with pytest.raises(BenchFailedError):
        from_json(text)


def test_a_page_keeps_what_people_wrote_and_shows_what_was_measured() -> None:
    page = page_file().read_text(encoding="utf-8")

    shown = with_results(page, some_results())

    assert shown.startswith(page.partition("<!--")[0])
    assert "| client | 1 | 300 | 270 - 330 | 0.46 x |" in shown
    assert "| what history.p50 is | 12.5 ms |" in shown
    assert "![calls.svg](bench/calls.svg)" in shown
    assert with_results(shown, some_results()) == shown


def test_a_page_without_its_marks_is_left_alone() -> None:
    with pytest.raises(BenchFailedError, match="marks"):
        with_results("# How fast it is\n", some_results())


def test_docs_are_written_whole_beside_their_results(tmp_path: Path) -> None:
    page_file(tmp_path).write_text(page_file().read_text(encoding="utf-8"), encoding="utf-8")

    write_docs(some_results(), tmp_path)

    kept = from_json(results_file(tmp_path).read_text(encoding="utf-8"))
    page = page_file(tmp_path).read_text(encoding="utf-8")
    assert with_results(page, kept) == page
    for name, picture in pictures(kept).items():
        assert (tmp_path / "bench" / name).read_text(encoding="utf-8") == picture
        assert f"bench/{name}" in page


def test_pictures_are_drawings_with_a_bar_for_each_row() -> None:
    drawn = pictures(some_results())

    assert set(drawn) == {"calls.svg", "batches.svg", "waits.svg", "processor.svg"}
    root = ET.fromstring(drawn["batches.svg"])
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "txns, 4 in flight" in texts
    assert "20,000" in texts
    widths = [float(bar.attrib["width"]) for bar in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert widths[-1] == max(widths[3:]), "the faster one has the longer bar"


def test_without_rows_of_load_there_is_no_picture() -> None:
    assert pictures(results(figures=(figure("history.p50", 1),))) == {}


def test_the_committed_page_is_what_the_committed_results_give() -> None:
    kept = from_json(results_file().read_text(encoding="utf-8"))
    page = page_file().read_text(encoding="utf-8")

    assert with_results(page, kept) == page, "run `python -m ops.bench --redraw`"
    for name, picture in pictures(kept).items():
        drawn = (results_file().parent / name).read_text(encoding="utf-8")
        assert drawn == picture, "run `python -m ops.bench --redraw`"
