"""`python -m ops.demo`: the referral walk, from founding a consortium to the office's trail.

Exit status 0 when everything that was acknowledged was found again, 1 when not or when the walk
failed, 2 for a wrong command line, 128 and the signal's number when it was stopped.
"""

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from caretree.model.errors import CaretreeError

from ops.demo.acknowledged import Account
from ops.demo.consortium import Founded
from ops.demo.daemons import stop_all
from ops.demo.display import Display
from ops.demo.errors import WalkFailedError, first_of
from ops.demo.keeping import show_kept
from ops.demo.residents import DEMO_COUNT
from ops.demo.walk import Walk

KEPT_FOLDER: Final = Path("demo-data")
RESIDENTS_MAX: Final = 10_000
DONE, FAILED = 0, 1
_SIGNALLED: Final = 128


def main() -> int:
    """Take the walk that the command line asks for; the exit status."""
    options = _parse()
    folder = _make_folder(options.directory)
    display = Display()
    walk = Walk(folder=folder, data=options.data, resident_count=options.residents, display=display)
    stopped_by: list[signal.Signals] = []
    keep, status = False, FAILED
    begun = time.monotonic()
    try:
        founded, account = asyncio.run(_stoppable(walk, stopped_by))
        status = DONE if account.holds else FAILED
        display.step(f"The walk took {time.monotonic() - begun:.0f} s")
        keep = options.keep
        if keep:
            show_kept(display, founded, list(walk.daemons.values()))
    except (WalkFailedError, CaretreeError, OSError) as error:
        display.alarm(f"the walk failed: {error}")
    except (asyncio.CancelledError, KeyboardInterrupt):
        number = stopped_by[0] if stopped_by else signal.SIGINT
        display.alarm(f"stopped by {number.name}")
        status = _SIGNALLED + number
    finally:
        if not keep:
            for fault in stop_all(list(walk.daemons.values())):
                display.alarm(fault)
            _clean_up(display, folder, named=options.directory is not None, status=status)
    return status


async def _stoppable(walk: Walk, stopped_by: list[signal.Signals]) -> tuple[Founded, Account]:
    """The walk; a signal that asks this process to end cancels it, so that it cleans up."""
    task = asyncio.current_task()
    assert task is not None

    def stop(number: signal.Signals) -> None:
        stopped_by.append(number)
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    try:
        return await walk.take()
    except ExceptionGroup as ended:
        raise first_of(ended) from None


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops.demo", description=__doc__)
    taken = parser.add_mutually_exclusive_group()
    taken.add_argument("--data", type=Path, help="a folder of FHIR R4 bundles to take in")
    taken.add_argument(
        "--residents", type=int, default=DEMO_COUNT, help="how many residents are invented"
    )
    parser.add_argument("--keep", action="store_true", help="leave the peers running")
    parser.add_argument("--directory", type=Path, help="a new folder for all that is made")
    options = parser.parse_args()
    if not 1 <= options.residents <= RESIDENTS_MAX:
        parser.error(f"--residents: expected 1 to {RESIDENTS_MAX}")
    if options.data is not None and not options.data.exists():
        parser.error(f"--data: {options.data} is not there")
    if options.directory is None and options.keep:
        options.directory = KEPT_FOLDER
    if options.directory is not None and options.directory.exists():
        parser.error(
            f"{options.directory} is there already; stop the peers of that walk, remove it,"
            " or name another with --directory"
        )
    return options


def _make_folder(named: Path | None) -> Path:
    """The folder for all that is made: a new one by this name, or one that goes away."""
    if named is None:
        return Path(tempfile.mkdtemp(prefix="caretree-demo-"))
    named.mkdir(mode=0o700, parents=True)
    return named.absolute()


def _clean_up(display: Display, folder: Path, *, named: bool, status: int) -> None:
    """Remove the folder, unless it was named or somebody will want to see why the walk failed."""
    if named or status == FAILED:
        display.say(f"what was made, the daemons' logs among it, is in {folder}", style="dim")
    else:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
