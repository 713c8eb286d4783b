"""The consortium's daemons: real processes of their own, killed on purpose and started again."""

import asyncio
import signal
import subprocess
import time
from typing import Final, NoReturn

from ops.demo.commands import programme
from ops.demo.consortium import Centre
from ops.demo.errors import WalkFailedError

STOP_S_MAX: Final = 15.0
_LOOK_S: Final = 0.1
_TAIL_BYTES: Final = 4096


class Daemon:
    """`caretree serve` for one member. It may only end when it is told to."""

    def __init__(self, centre: Centre) -> None:
        self.centre = centre
        self.log_file = centre.folder / "daemon.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; it writes to its log file."""
        with self.log_file.open("ab") as log:
            # A session of its own: Ctrl-C at the terminal is for the walk, which then stops it.
            self._process = subprocess.Popen(
                [programme(), "serve", "--config", self.centre.config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL: it has no time for anything, as when the power fails."""
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        process.wait()

    async def watch(self) -> NoReturn:
        """Look after it for as long as the walk lasts.

        Raises:
            WalkFailedError: it ended and nobody had killed it.
        """
        while True:
            process = self._process
            status = None if process is None else process.poll()
            if status is not None:
                raise WalkFailedError(
                    f"the daemon of {self.centre.member} ended with status {status}:"
                    f" {self.last_line()}"
                )
            await asyncio.sleep(_LOOK_S)

    def last_line(self) -> str:
        """The last line of its log."""
        if not self.log_file.exists():
            return "(no log)"
        lines = self.log_file.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.strip()), "(nothing was logged)")

    def ask_to_stop(self) -> None:
        """SIGTERM, when it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def make_sure(self, *, until: float) -> str | None:
        """Wait for its end and kill it when it is late; what was wrong with that, or None."""
        process, self._process = self._process, None
        if process is None:
            return None
        try:
            status = process.wait(timeout=max(until - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            return f"the daemon of {self.centre.member} did not stop in time and was killed"
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        # The signal itself ends a daemon that has only just begun to start.
        if status in (0, -signal.SIGTERM):
            return None
        return f"the daemon of {self.centre.member} stopped with status {status}"


def stop_all(daemons: list[Daemon]) -> list[str]:
    """Stop every daemon that runs, whatever happens meanwhile; what went wrong."""
    for daemon in daemons:
        daemon.ask_to_stop()
    until = time.monotonic() + STOP_S_MAX
    try:
        found = [daemon.make_sure(until=until) for daemon in daemons]
    finally:
        for daemon in daemons:  # a second Ctrl-C may have ended the waiting
            daemon.make_sure(until=0)
    return [fault for fault in found if fault is not None]
