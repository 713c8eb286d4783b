"""The fuzzing itself: kept inputs changed again and again, from a seed; what is new is built upon.

With coverage, an input that makes a parser take a step between two lines that no input before it
did is changed further. Without, the kept inputs alone are, which needs no tracing and is ten times
as fast. The same seed, count and corpus give the same inputs.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import CodeType, FrameType
from typing import Any, Final, TypeAlias

import caretree

from tests.fuzz.mutating import change_bytes, insert_word, splice
from tests.fuzz.shapes import change_proto, change_text
from tests.fuzz.target import INPUT_BYTES_MAX, Shape, Target, judge

CHANGES_MAX: Final = 4
# Tracing memory costs ten runs or so.
MEMORY_EVERY: Final = 64
# Longer ones would slow down every run after them.
REACHED_BYTES_MAX: Final = 8 * 1024
_PACKAGE: Final = str(Path(caretree.__file__).parent)
_GENERATED: Final = str(Path(_PACKAGE) / "proto")

Step: TypeAlias = tuple[CodeType, int, int]
Trace: TypeAlias = Callable[[FrameType, str, Any], Any]


class Coverage:
    """Which steps from line to line were taken in the rooms' code."""

    def __init__(self) -> None:
        self.steps: set[Step] = set()

    def of(self, run: Callable[[], object]) -> frozenset[Step]:
        """The steps that no run before this one took."""
        found: set[Step] = set()
        before = sys.gettrace()
        sys.settrace(self._tracer(found))
        try:
            run()
        finally:
            sys.settrace(before)
        fresh = frozenset(found - self.steps)
        self.steps |= fresh
        return fresh

    @staticmethod
    def _tracer(found: set[Step]) -> Trace:
        def enter(frame: FrameType, _event: str, _argument: object) -> Trace | None:
            code = frame.f_code
            if not code.co_filename.startswith(_PACKAGE):
                return None
            if code.co_filename.startswith(_GENERATED):
                return None
            last = 0

            def inside(frame: FrameType, event: str, _argument: object) -> Trace:
                nonlocal last
                if event == "line":
                    found.add((code, last, frame.f_lineno))
                    last = frame.f_lineno
                return inside

            return inside

        return enter


@dataclass(slots=True, kw_only=True)
class Fuzzer:
    """Runs one target. `pool` are the inputs that are changed, `reached` those added to it."""

    target: Target
    random: Random
    pool: list[bytes]
    coverage: Coverage | None = None
    slack: float = 5.0
    runs: int = 0
    last: bytes = b""
    reached: list[bytes] = field(default_factory=list)

    def run_kept(self) -> None:
        """Run the pool as it is.

        Raises:
            BrokenContractError: the contract is broken.
        """
        for data in tuple(self.pool):
            self._judge(data)

    def run_next(self) -> None:
        """Run one changed input.

        Raises:
            BrokenContractError: the contract is broken.
        """
        data = self._choose()
        for _ in range(self.random.randint(1, CHANGES_MAX)):
            data = self._change(data)[:INPUT_BYTES_MAX]
        if self._judge(data) and len(data) <= REACHED_BYTES_MAX:
            self.pool.append(data)
            self.reached.append(data)

    def _judge(self, data: bytes) -> frozenset[Step]:
        self.runs += 1
        self.last = data
        measured = self.runs % MEMORY_EVERY == 0
        fresh: frozenset[Step] = frozenset()
        if self.coverage is not None:
            fresh = self.coverage.of(lambda: _run_quietly(self.target, data))
        judge(self.target, data, slack=self.slack, measure_memory=measured)
        return fresh

    def _choose(self) -> bytes:
        if not self.pool:
            return b""
        # Newer inputs went further; they are chosen more often.
        if self.reached and self.random.random() < 0.3:
            return self.random.choice(self.reached[-16:])
        return self.random.choice(self.pool)

    def _change(self, data: bytes) -> bytes:
        chance = self.random.random()
        if chance < 0.1 and self.pool:
            return splice(self.random, data, self.random.choice(self.pool))
        if chance < 0.2 and self.target.words:
            return insert_word(self.random, data, self.target.words)
        match self.target.shape:
            case Shape.PROTO if chance < 0.9:
                return change_proto(self.random, data)
            case Shape.TEXT:
                return change_text(self.random, data)
            case Shape.PROTO | Shape.BYTES:
                return change_bytes(self.random, data)


def fuzzer(
    target: Target, inputs: Sequence[bytes], *, seed: int, coverage: bool, slack: float = 5.0
) -> Fuzzer:
    """A fuzzer of this target whose chance is drawn from `seed` and the target's name."""
    return Fuzzer(
        target=target,
        random=Random(f"{seed}/{target.name}"),
        pool=list(inputs),
        coverage=Coverage() if coverage else None,
        slack=slack,
    )


def _run_quietly(target: Target, data: bytes) -> None:
    """Run for the coverage alone: what is wrong is found by `judge`."""
    try:
        target.run(data)
    except Exception:  # noqa: BLE001 (judged just after)
        return
