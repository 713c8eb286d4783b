import json
import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from caretree.telemetry.writer import LineWriter

LINE = b"x" * 999  # 1000 with its end
PIPE_BYTES = 65_536


class Drops:
    """Counts the lines given up."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, count: int) -> None:
        self.count += count


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def test_lines_come_out_whole_and_in_order(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1], on_drop=Drops())

    for number in range(100):
        writer.write(b"line %d" % number)

    assert writer.close(timeout_s=10)
    os.close(pipe[1])
    assert _read_all(pipe[0]).splitlines() == [b"line %d" % number for number in range(100)]


def test_a_blocked_reader_stops_nobody_and_costs_the_oldest_lines(pipe: tuple[int, int]) -> None:
    drops = Drops()
    filling = _fill(pipe[1])
    writer = LineWriter(pipe[1], on_drop=drops, queue_bytes_max=10_000)

    for number in range(1000):
        writer.write(b"%04d" % number + LINE[4:])

    assert not writer.close(timeout_s=0.05)
    reader = _read_in_background(pipe[0])
    assert writer.close(timeout_s=10)
    os.close(pipe[1])
    lines = reader()[filling:].splitlines()
    told = [json.loads(line) for line in lines if line.startswith(b"{")]
    numbers = [int(line[:4]) for line in lines if not line.startswith(b"{")]
    assert numbers == sorted(numbers)
    assert numbers[-10:] == list(range(990, 1000))
    assert len(numbers) + drops.count == 1000
    assert sum(fields["count"] for fields in told) == drops.count >= 1000 - 2 * 10


def test_a_reader_that_is_gone_loses_lines_and_stops_nobody(pipe: tuple[int, int]) -> None:
    drops = Drops()
    os.close(pipe[0])
    writer = LineWriter(pipe[1], on_drop=drops)

    writer.write(b"one")

    assert not writer.close(timeout_s=10)
    writer.write(b"two")
    _until(lambda: drops.count == 2)


def test_a_pipe_that_does_not_wait_is_waited_for(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    drops = Drops()
    writer = LineWriter(pipe[1], on_drop=drops)

    for _ in range(200):
        writer.write(LINE)
    reader = _read_in_background(pipe[0])

    assert writer.close(timeout_s=10)
    os.close(pipe[1])
    assert (len(reader()), drops.count) == (200_000, 0)


def test_a_line_larger_than_the_queue_is_given_up(pipe: tuple[int, int]) -> None:
    drops = Drops()
    writer = LineWriter(pipe[1], on_drop=drops, queue_bytes_max=999)

    writer.write(LINE)

    assert drops.count == 1
    assert writer.close(timeout_s=10)


def _fill(descriptor: int) -> int:
    """How many bytes it took until the pipe was full."""
    os.set_blocking(descriptor, False)
    filled = 0
    try:
        while True:
            filled += os.write(descriptor, b"#")
    except BlockingIOError:
        os.set_blocking(descriptor, True)
    return filled


def _read_all(descriptor: int) -> bytes:
    content = bytearray()
    while part := os.read(descriptor, PIPE_BYTES):
        content += part
    return bytes(content)


def _read_in_background(descriptor: int) -> Callable[[], bytes]:
    """Starts reading; the answer waits for the end and returns everything."""
    read: list[bytes] = []
    thread = threading.Thread(target=lambda: read.append(_read_all(descriptor)))
    thread.start()

    def finish() -> bytes:
        thread.join(timeout=10)
        return read[0]

    return finish


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "waited 10 s in vain"
        time.sleep(0.001)
