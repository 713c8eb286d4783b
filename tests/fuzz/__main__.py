"""`make fuzz`: every parser, or one, fuzzed for a time, guided by coverage.

Ends with status 1 when a contract was broken; the inputs that did it are kept in the corpus, and
`make test` runs them from then on.
"""

import argparse
import random
import sys
import time
from dataclasses import dataclass
from typing import Final

from tests.fuzz import corpus
from tests.fuzz.catalogue import TARGETS, find_target
from tests.fuzz.engine import Coverage, Fuzzer, fuzzer
from tests.fuzz.shrinking import shrink
from tests.fuzz.target import BrokenContractError, Target, Verdict, judge

SECONDS: Final = 120
SLACK: Final = 3.0
REACHED_KEPT_MAX: Final = 12  # of one target, the first that reached most


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of fuzzing one target."""

    target: str
    runs: int
    steps: int
    reached: tuple[bytes, ...]
    broken: BrokenContractError | None


def main(arguments: list[str]) -> int:
    """0 when every contract held."""
    options = _options().parse_args(arguments)
    targets = [find_target(options.target)] if options.target else list(TARGETS)
    if options.write_seeds:
        return _write_seeds(targets)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    _say(f"seed {seed}, {len(targets)} targets, {options.seconds} s in all")
    _say(f"{'target':24}    runs  steps  reached")
    broken = 0
    for target in targets:
        done = _fuzz(target, seed=seed, seconds=options.seconds / len(targets))
        _say(f"{done.target:24} {done.runs:7}  {done.steps:5}  {len(done.reached):7}")
        if done.broken is not None:
            broken += 1
            _say(f"  BROKEN {done.broken}")
        if options.keep:
            _keep_reached(target, done.reached)
    return 1 if broken else 0


def _fuzz(target: Target, *, seed: int, seconds: float) -> Done:
    """Fuzz until the time is over or the contract is broken; what broke it is kept."""
    inputs = list(corpus.kept(target.name).values())
    running = fuzzer(target, inputs, seed=seed, coverage=True, slack=SLACK)
    broken: BrokenContractError | None = None
    ends = time.monotonic() + seconds
    try:
        running.run_kept()
        while time.monotonic() < ends:
            running.run_next()
    except BrokenContractError as error:
        broken = _keep_broken(running, error)
    assert running.coverage is not None
    return Done(
        target=target.name,
        runs=running.runs,
        steps=len(running.coverage.steps),
        reached=tuple(running.reached),
        broken=broken,
    )


def _keep_broken(running: Fuzzer, error: BrokenContractError) -> BrokenContractError:
    """The failure of the shortest input found to break the contract, which is kept."""
    data = shrink(running.target, running.last, slack=SLACK)
    path = corpus.keep(running.target.name, corpus.FOUND, data)
    _say(f"  kept as {path.relative_to(corpus.CORPUS)}")
    try:
        judge(running.target, data, slack=SLACK, measure_memory=True)
    except BrokenContractError as shortest:
        return shortest
    return error


def _keep_reached(target: Target, reached: tuple[bytes, ...]) -> None:
    """Keep those that add most to what the kept inputs reach already, shortest first."""
    coverage = Coverage()
    for data in corpus.kept(target.name).values():
        coverage.of(lambda data=data: _run(target, data))  # type: ignore[misc]
    count = len(corpus.kept(target.name, corpus.REACH))
    for data in sorted(reached, key=len):
        if count >= REACHED_KEPT_MAX:
            break
        if coverage.of(lambda data=data: _run(target, data)):  # type: ignore[misc]
            corpus.keep(target.name, corpus.REACH, data)
            count += 1


def _run(target: Target, data: bytes) -> Verdict:
    return judge(target, data, slack=SLACK)


def _write_seeds(targets: list[Target]) -> int:
    """Write the seeds anew, out of this project's own builders."""
    for target in targets:
        for name in corpus.kept(target.name, corpus.SEED):
            (corpus.CORPUS / target.name / name).unlink()
        for data in target.seeds():
            assert judge(target, data) is Verdict.TAKEN, f"{target.name}: a seed is refused"
            corpus.keep(target.name, corpus.SEED, data)
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--target", default="", help="one target; all when not given")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for all of them together")
    parser.add_argument("--seed", type=int, help="to see a run again; drawn when not given")
    parser.add_argument("--keep", action="store_true", help="keep what reached further")
    parser.add_argument("--write-seeds", action="store_true", help="write the seeds anew, and end")
    return parser


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
