"""Starts daemons that are to be refused: `python starter.py CONFIG...`, one after the other.

Each is a process of its own, forked after the imports, which take most of the time of a start. What
it wrote lies in stderr.txt beside its configuration, and its exit status in status.txt.
"""

import os
import signal
import sys
from pathlib import Path

from caretree.cli.serve import serve

START_S_MAX = 30


def start(config: Path) -> int:
    """Become the daemon; its exit status."""
    signal.alarm(START_S_MAX)  # a daemon that is not refused would run for ever
    descriptor = os.open(config.with_name("stderr.txt"), os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(descriptor, sys.stderr.fileno())
    return serve(["--config", str(config)])


for argument in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        raise SystemExit(start(Path(argument)))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    Path(argument).with_name("status.txt").write_text(str(status))
