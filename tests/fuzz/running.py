"""How `make test` fuzzes: the kept inputs, then changed ones from one seed, each target for a bit.

The seed is the same in every run, so that a run of the tests says the same of the same code; `make
fuzz` draws another each time. CARETREE_FUZZ_SEED sets another here too.
"""

import os
import time
from types import ModuleType
from typing import Final

from tests.fuzz.corpus import SEED, kept
from tests.fuzz.engine import fuzzer
from tests.fuzz.target import BrokenContractError, Target, Verdict, judge

SEED_VARIABLE: Final = "CARETREE_FUZZ_SEED"
# All targets together take a minute of one processor; the slowest get through some fifty inputs.
TARGET_S: Final = 0.6
RUNS_MAX: Final = 2000


def targets_of(*rooms: ModuleType) -> list[Target]:
    """The targets of these rooms."""
    return [target for room in rooms for target in room.TARGETS]


def check_kept(target: Target) -> None:
    """Every kept input is handled as the contract says, in bounded memory; a seed is taken."""
    for name, data in kept(target.name).items():
        verdict = judge(target, data, measure_memory=True)
        assert verdict is Verdict.TAKEN or not name.startswith(SEED), f"{target.name}/{name}"


def check_changed(target: Target) -> None:
    """Changed inputs are handled as the contract says, so many or until the time is over.

    Raises:
        BrokenContractError: one is not; says with which seed and after how many it was reached.
    """
    seed = int(os.environ.get(SEED_VARIABLE, "1"))
    running = fuzzer(target, list(kept(target.name).values()), seed=seed, coverage=False)
    ends = time.monotonic() + TARGET_S
    try:
        while running.runs < RUNS_MAX and time.monotonic() < ends:
            running.run_next()
    except BrokenContractError as error:
        error.add_note(f"{SEED_VARIABLE}={seed}, input number {running.runs}")
        raise
