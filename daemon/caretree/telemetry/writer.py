"""Log lines on their way to a pipe that may be blocked: bounded, the oldest are given up.

A daemon that writes its log from the event loop stops leading when the journal stops reading. Here
the loop only appends to a queue; one thread writes, and waits when it must.
"""

import json
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from caretree.model.limits import MIB

QUEUE_BYTES_MAX: Final = 4 * MIB
_WAIT_S: Final = 1.0


class LineWriter:
    """Writes lines to a file descriptor from a thread of its own.

    `on_drop` is called with the number of lines given up, from whichever thread noticed.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        on_drop: Callable[[int], None],
        queue_bytes_max: int = QUEUE_BYTES_MAX,
    ) -> None:
        self._descriptor = descriptor
        self._on_drop = on_drop
        self._queue_bytes_max = queue_bytes_max
        # The condition guards everything below; no system call is made while it is held.
        self._changed = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._dropped_since_written = 0
        self._writing = False
        self._closed = False
        self._broken = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Queue a line without its end; never waits for the reader."""
        with self._changed:
            if self._closed or self._broken:
                dropped = 1
            else:
                self._lines.append(line + b"\n")
                self._bytes += len(line) + 1
                dropped = self._make_room()
                self._dropped_since_written += dropped
                self._changed.notify_all()
        if dropped:
            self._on_drop(dropped)

    def close(self, *, timeout_s: float) -> bool:
        """Stop taking lines; whether all that were taken got written within the time."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return self._changed.wait_for(self._drained, timeout=timeout_s) and not self._broken

    def _drained(self) -> bool:
        return self._broken or not (self._lines or self._writing)

    def _make_room(self) -> int:
        dropped = 0
        while self._bytes > self._queue_bytes_max and self._lines:
            self._bytes -= len(self._lines.popleft())
            dropped += 1
        return dropped

    def _run(self) -> None:
        while (chunk := self._next_chunk()) is not None:
            written = self._write_whole(chunk)
            lost = 0
            with self._changed:
                self._writing = False
                if not written:
                    # The reader is gone for good: take nothing more, rather than fill the queue.
                    self._broken = True
                    lost = chunk.count(b"\n") + len(self._lines)
                    self._lines.clear()
                self._changed.notify_all()
            if lost:
                self._on_drop(lost)
                return

    def _next_chunk(self) -> bytes | None:
        """All that waits, with a line on what was given up before it; None when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._closed)
            if not self._lines:
                return None
            lines = list(self._lines)
            self._lines.clear()
            self._bytes = 0
            if self._dropped_since_written:
                lines.insert(0, _dropped_line(self._dropped_since_written))
                self._dropped_since_written = 0
            self._writing = True
            return b"".join(lines)

    def _write_whole(self, chunk: bytes) -> bool:
        rest = memoryview(chunk)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # somebody made the pipe non-blocking
                select.select([], [self._descriptor], [], _WAIT_S)
            except OSError:
                return False
        return True


def _dropped_line(count: int) -> bytes:
    fields = {"level": "warning", "event": "log lines given up", "count": count}
    return json.dumps(fields).encode("ascii") + b"\n"
