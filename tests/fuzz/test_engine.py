"""The fuzzing's own exam: planted faults are found, each of them, and a seed gives the same run."""

import time
import tracemalloc
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

import pytest
from caretree.merkle.note import parse_note
from caretree.model.errors import MalformedError

from tests.fuzz import corpus
from tests.fuzz.engine import Coverage, Fuzzer, fuzzer
from tests.fuzz.shapes import change_text, read_fields, write_fields
from tests.fuzz.shrinking import shrink
from tests.fuzz.target import CANARY, CPU_S_MAX, BrokenContractError, Shape, Target, Verdict, judge
from tests.fuzz.targets import ledger
from tests.fuzz.targets.merkle import signed_note
from tests.ledger.samples import HAPPENINGS

RUNS_MAX: Final = 20_000


def target_of(run: Callable[[bytes], object], *seeds: bytes, shape: Shape = Shape.BYTES) -> Target:
    """A target that may raise MalformedError."""
    return Target(
        name="planted",
        run=run,
        errors=(MalformedError,),
        seeds=lambda: seeds,
        covers=(),
        shape=shape,
    )


def runs_until_broken(running: Fuzzer) -> int:
    """After how many runs the contract is broken."""
    for _ in range(RUNS_MAX):
        try:
            running.run_next()
        except BrokenContractError:
            break
    return running.runs


def refuse(_data: bytes) -> None:
    raise MalformedError("field", "expected something else")


def test_a_value_is_taken_and_a_declared_error_refused() -> None:
    assert judge(target_of(len), b"data") is Verdict.TAKEN
    assert judge(target_of(refuse), b"data") is Verdict.REFUSED


def test_any_other_error_breaks_the_contract_and_the_input_is_in_the_message() -> None:
    with pytest.raises(BrokenContractError, match=r"raised IndexError.*in hex: 6461746f"):
        judge(target_of(lambda data: data[9]), b"dato")


def test_an_error_that_repeats_the_input_breaks_it() -> None:
    def repeat(data: bytes) -> None:
        raise MalformedError("field", f"found {data.decode()}")

    assert judge(target_of(repeat), b"harmless") is Verdict.REFUSED
    with pytest.raises(BrokenContractError, match="repeats what was in the input"):
        judge(target_of(repeat), b"a" + CANARY.upper())


def test_more_time_than_the_size_allows_breaks_it() -> None:
    def compute(data: bytes) -> None:
        until = time.thread_time() + (2 * CPU_S_MAX if len(data) > 10 else 0)
        while time.thread_time() < until:
            pass

    assert judge(target_of(compute), bytes(10), slack=1) is Verdict.TAKEN
    with pytest.raises(BrokenContractError, match="s of CPU"):
        judge(target_of(compute), bytes(11), slack=1)


def test_memory_by_a_claimed_length_breaks_it() -> None:
    def allocate(data: bytes) -> None:
        bytearray(int.from_bytes(data, "big"))

    target = target_of(allocate)
    assert judge(target, b"\x01\x00", measure_memory=True) is Verdict.TAKEN
    with pytest.raises(BrokenContractError, match="bytes of memory"):
        judge(target, b"\x02\x00\x00\x00", measure_memory=True)
    assert not tracemalloc.is_tracing()


def test_a_fault_behind_a_tag_and_a_length_is_found() -> None:
    def run(data: bytes) -> None:
        fields = read_fields(data)
        if fields is None:
            refuse(data)
        assert not any(field.number == 2 and field.value == CANARY for field in fields or ())

    seed = write_fields(read_fields(b"\x0a\x03abc\x12\x03abc") or ())
    running = fuzzer(target_of(run, shape=Shape.PROTO), [seed], seed=1, coverage=False)

    assert runs_until_broken(running) < RUNS_MAX


def test_a_fault_within_base64_is_found() -> None:
    def run(data: bytes) -> None:
        note = parse_note(data)
        assert all(len(line.signature) in {64, 72} for line in note.lines), "planted"

    target = target_of(run, shape=Shape.TEXT)
    running = fuzzer(target, [signed_note()], seed=1, coverage=False)

    assert runs_until_broken(running) < RUNS_MAX


def test_coverage_builds_upon_what_reached_further() -> None:
    (body,) = (target for target in ledger.TARGETS if target.name == "body")
    running = fuzzer(body, list(islice(body.seeds(), 1)), seed=1, coverage=True)
    running.run_kept()
    assert running.coverage is not None
    before = len(running.coverage.steps)
    for _ in range(200):
        running.run_next()

    assert len(HAPPENINGS) > 1
    assert len(running.coverage.steps) > before
    assert running.reached


def test_steps_are_counted_once() -> None:
    coverage = Coverage()

    assert coverage.of(lambda: parse_note(signed_note()))
    assert not coverage.of(lambda: parse_note(signed_note()))


def test_one_seed_gives_one_run_and_another_seed_another() -> None:
    def inputs(seed: int) -> list[bytes]:
        seen: list[bytes] = []
        target = target_of(seen.append, shape=Shape.TEXT)
        running = fuzzer(target, [signed_note()], seed=seed, coverage=False)
        for _ in range(50):
            running.run_next()
        return seen

    assert inputs(1) == inputs(1)
    assert inputs(1) != inputs(2)


def test_every_change_of_a_text_leaves_a_text_of_bytes() -> None:
    random = Random(1)
    for _ in range(500):
        assert isinstance(change_text(random, b""), bytes)
        assert isinstance(change_text(random, signed_note()), bytes)


def test_what_broke_a_contract_is_made_shorter_and_still_breaks_it() -> None:
    def run(data: bytes) -> None:
        assert b"bug" not in data

    shortest = shrink(target_of(run), bytes(100) + b"a bug" + bytes(300), slack=5.0)

    assert shortest == b"bug"


def test_an_input_is_kept_as_text_and_read_back(tmp_path: Path) -> None:
    path = corpus.keep("note", corpus.FOUND, bytes(range(256)), root=tmp_path)

    assert path.read_text().isascii()
    assert corpus.kept("note", root=tmp_path) == {path.name: bytes(range(256))}
    assert corpus.kept("note", corpus.SEED, root=tmp_path) == {}
