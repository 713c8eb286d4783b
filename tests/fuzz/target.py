"""One parser under fuzzing, and the contract that it is held to for any input whatever.

The parser gives a value, or raises one of the errors that its room declares. It raises nothing
else, takes time and memory that grow with the input alone, and no error repeats what was in the
input. What it gave must be what the bytes say: where a format has one spelling, writing the value
gives the bytes again; where it has several, reading what was written gives the value again. Each
target's `run` asserts that.
"""

import time
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

INPUT_BYTES_MAX: Final = 64 * 1024
CPU_S_MAX: Final = 0.05
CPU_S_PER_BYTE: Final = 2e-6
MEMORY_BYTES_MAX: Final = 16 * 1024 * 1024
MEMORY_PER_BYTE: Final = 64
# A mutation puts it anywhere; being letters and digits, it is a part of most texts. No error may
# show it, in any case or in hex.
CANARY: Final = b"zq7canary9x"
HEX_SHOWN_MAX: Final = 4096
_ATTEMPTS: Final = 3


class Shape(Enum):
    """What inputs are made of, hence how they are best changed."""

    BYTES = "bytes"
    PROTO = "proto"  # protobuf's wire format, messages within messages
    TEXT = "text"  # lines, some of base64


class Verdict(Enum):
    """What became of an input that broke nothing."""

    TAKEN = "taken"
    REFUSED = "refused"


class BrokenContractError(AssertionError):
    """An input that the parser did not handle as it must; its text says how to see it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A parser: how it is run, what it may raise, good inputs, and which functions it covers."""

    name: str
    run: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]
    seeds: Callable[[], Iterable[bytes]]
    covers: tuple[Callable[..., Any], ...]
    shape: Shape = Shape.BYTES
    words: tuple[bytes, ...] = ()  # what the format is made of, put in now and then
    may_show: tuple[type[Exception], ...] = ()  # they name keys, members or settings: no secrets


def judge(
    target: Target, data: bytes, *, slack: float = 5.0, measure_memory: bool = False
) -> Verdict:
    """What became of the input. `slack` stretches the bound on time, for slower machines.

    Raises:
        BrokenContractError: the contract is broken.
    """
    if measure_memory:
        _check_memory(target, data)
    limit = slack * (CPU_S_MAX + CPU_S_PER_BYTE * len(data))
    verdict, taken = _timed(target, data)
    for _ in range(_ATTEMPTS - 1):
        if taken <= limit:
            break
        # Once may have been the collector of garbage or a cache that was still empty.
        verdict, again = _timed(target, data)
        taken = min(taken, again)
    if taken > limit:
        raise _broken(target, data, f"took {taken:.3f} s of CPU, at most {limit:.3f} s is due")
    return verdict


def _timed(target: Target, data: bytes) -> tuple[Verdict, float]:
    begun = time.thread_time()
    verdict = _run(target, data)
    return verdict, time.thread_time() - begun


def _run(target: Target, data: bytes) -> Verdict:
    try:
        target.run(data)
    except target.errors as error:
        _check_told(target, data, error)
        return Verdict.REFUSED
    except Exception as error:
        found = f"raised {type(error).__name__}: {str(error)[:200]}"
        raise _broken(target, data, found) from error
    return Verdict.TAKEN


def _check_told(target: Target, data: bytes, error: Exception) -> None:
    told = str(error)
    if not told:
        raise _broken(target, data, f"{type(error).__name__} says nothing")
    shown = CANARY.decode() in told.lower() or CANARY.hex() in told.lower()
    if shown and not isinstance(error, target.may_show):
        raise _broken(target, data, f"{type(error).__name__} repeats what was in the input")


def _check_memory(target: Target, data: bytes) -> None:
    limit = MEMORY_BYTES_MAX + MEMORY_PER_BYTE * len(data)
    tracemalloc.start()
    try:
        _run(target, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    if peak > limit:
        raise _broken(target, data, f"took {peak} bytes of memory, at most {limit} are due")


def _broken(target: Target, data: bytes, found: str) -> BrokenContractError:
    shown = data.hex() if len(data) <= HEX_SHOWN_MAX else f"{data[:HEX_SHOWN_MAX].hex()}..."
    return BrokenContractError(f"{target.name}: {found}; the {len(data)} bytes in hex: {shown}")
