"""What the system tells of processes, the loopback, the disk and the machine."""

import os
import platform
import statistics
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from ops.bench.errors import BenchFailedError

_PROC: Final = Path("/proc")
_LIBRARIES: Final = ("caretree", "grpcio", "protobuf", "plyvel", "cryptography", "uvloop")
_FSYNCS: Final = 50
_LOOK_S: Final = 1.0


def cpu_seconds(pids: Iterable[int]) -> float:
    """The processor time that these processes have used, all their threads together.

    Raises:
        BenchFailedError: one of them has ended.
    """
    ticks = 0
    for pid in pids:
        # proc(5): after the name, which may hold anything, utime and stime are the 12th and 13th.
        numbers = _read(pid, "stat").rpartition(")")[2].split()
        ticks += int(numbers[11]) + int(numbers[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """The memory that a process holds.

    Raises:
        BenchFailedError: it has ended.
    """
    for line in _read(pid, "status").splitlines():
        name, _, value = line.partition(":")
        if name == "VmRSS":
            return int(value.removesuffix("kB")) * 1024
    raise BenchFailedError(f"process {pid} has ended")


def loopback_bytes() -> int:
    """What went over the loopback since the machine started, headers of TCP and IP counted."""
    for line in (_PROC / "net" / "dev").read_text(encoding="ascii").splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == "lo":
            return int(numbers.split()[0])
    raise BenchFailedError("this machine has no loopback")


def disk_bytes(folder: Path) -> int:
    """What the files under a folder occupy."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).stat().st_blocks * 512
            except FileNotFoundError:
                continue  # a table that was merged into another meanwhile
    return total


def facts(folder: Path) -> dict[str, str | int | float]:
    """The machine, its libraries and the disk under this folder, measured for about a second."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processors": os.cpu_count() or 0,
        "processor": _processor(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{library: version(library) for library in _LIBRARIES},
        "fsync_ms": round(_fsync_ms(folder), 3),
        "busy_before": round(_busy(), 2),
    }


def _read(pid: int, name: str) -> str:
    try:
        return (_PROC / str(pid) / name).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise BenchFailedError(f"process {pid} has ended") from None


def _processor() -> str:
    for line in (_PROC / "cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _fsync_ms(folder: Path) -> float:
    """The median time of making 1 KiB more of a file durable."""
    took: list[float] = []
    file = folder / "fsync"
    with file.open("wb", buffering=0) as opened:
        for _ in range(_FSYNCS):
            opened.write(bytes(1024))
            begun = time.perf_counter()
            os.fdatasync(opened.fileno())
            took.append(time.perf_counter() - begun)
    file.unlink()
    return statistics.median(took) * 1000


def _busy() -> float:
    """How many processors others kept busy while nothing was measured yet."""
    before, begun = _busy_ticks(), time.monotonic()
    time.sleep(_LOOK_S)
    spent = (_busy_ticks() - before) / os.sysconf("SC_CLK_TCK")
    return spent / (time.monotonic() - begun)


def _busy_ticks() -> int:
    first, *_ = (_PROC / "stat").read_text(encoding="ascii").splitlines()
    numbers = [int(number) for number in first.split()[1:9]]
    idle: Sequence[int] = numbers[3:5]  # idle and iowait
    return sum(numbers) - sum(idle)
