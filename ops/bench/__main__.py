"""`python -m ops.bench`: three peers and three members of etcd, measured in one run.

Exit status 0 when everything was measured, 1 when not, or with --strict when a goal is missed, 2
for a wrong command line.
"""

import asyncio
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import grpc
import uvloop
from caretree.model.errors import CaretreeError
from rich.console import Console

from ops.bench.errors import BenchFailedError
from ops.bench.goals import judge
from ops.bench.options import Options, parse
from ops.bench.page import results_file, write_docs
from ops.bench.results import from_json, to_json
from ops.bench.running import Run, run
from ops.bench.showing import Telling, alarm, console, show
from ops.bench.values import Results
from ops.demo.errors import WalkFailedError

DONE, FAILED = 0, 1


def main() -> int:
    """Measure what the command line asks for; the exit status."""
    # The processes have sessions of their own: who asks this one to end means them too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = parse(sys.argv[1:])
    on = console()
    if options.redraw:
        write_docs(from_json(results_file().read_text(encoding="utf-8")))
        return DONE
    if not options.baseline.measured:
        alarm(on, f"no baseline: {options.baseline.why}")
    results, faults = _measured(options, on)
    show(on, results)
    for fault in faults:
        alarm(on, fault)
    if options.json is not None:
        options.json.write_text(to_json(results), encoding="utf-8")
    if options.docs and not faults:
        write_docs(results)
    missed = any(each.reached is False for each in judge(results))
    return FAILED if faults or (options.strict and missed) else DONE


def _measured(options: Options, on: Console) -> tuple[Results, list[str]]:
    """What was measured until it was done or failed, and what went wrong."""
    faults: list[str] = []
    folder = Path(tempfile.mkdtemp(prefix="caretree-bench-", dir=options.directory))
    running = Run(folder)
    try:
        with (
            Telling.on(on, options.order.steps) as telling,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(run(running, options.order, telling))
    except KeyboardInterrupt:
        faults.append("the bench was stopped")
    except (BenchFailedError, WalkFailedError, CaretreeError, grpc.RpcError, OSError) as error:
        faults.append(f"the bench failed: {error}; the peers' logs are in {folder}")
    finally:
        faults += running.stop()
        if not any(folder.name in fault for fault in faults):
            shutil.rmtree(folder)
    results = Results(
        machine=running.machine,
        settings=options.settings,
        baseline=options.baseline,
        loads=running.loads,
        figures=tuple(running.figures),
    )
    return results, faults


if __name__ == "__main__":
    sys.exit(main())
