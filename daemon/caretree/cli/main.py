"""The programme `caretree`: the daemon, or else a command for people."""

import os
import sys


def main() -> None:
    """End the process with the status of the command that its arguments name."""
    # gRPC's core would write lines of its own between ours; what matters it also returns as errors.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    arguments = sys.argv[1:]
    if arguments[:1] == ["serve"]:
        from caretree.cli.serve import serve  # noqa: PLC0415 (an idle peer is small: no typer in it)

        raise SystemExit(serve(arguments[1:]))
    from caretree.cli.app import run  # noqa: PLC0415 (as above)

    raise SystemExit(run(arguments))
