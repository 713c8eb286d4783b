"""The command line -> what is measured, and what becomes of the results."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.bench import etcd, groups, million
from ops.bench.peers import CALLED, LEADS
from ops.bench.rows import chosen
from ops.bench.running import Order
from ops.bench.supply import CONTENT_BYTES, PATIENTS, Supply
from ops.bench.values import Baseline, Fact

ROUNDS: Final = 3
SECONDS: Final = 2.0
# Where files outlive a restart, so that syncing them means what it means for a ledger.
_FOLDER: Final = Path("/var/tmp")  # noqa: S108 (what is made in it has a name of its own)
_POSITIVE: Final = ("rounds", "seconds", "content_bytes", "patients", "entries", "entry_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for."""

    order: Order
    baseline: Baseline
    settings: dict[str, Fact]
    json: Path | None
    docs: bool
    redraw: bool
    strict: bool
    directory: Path


def parse(arguments: Sequence[str]) -> Options:
    """The options; a wrong command line ends the process with status 2."""
    parser = _parser()
    read = parser.parse_args(arguments)
    for name in _POSITIVE:
        if getattr(read, name) <= 0:
            parser.error(f"--{name.replace('_', '-')}: expected more than 0")
    chosen_groups: frozenset[str] = read.only | ({groups.MILLION} if read.full else set())
    found = None if read.no_etcd else etcd.binary()
    order = Order(
        groups=chosen_groups,
        rows=chosen(chosen_groups, etcd=found is not None),
        rounds=read.rounds,
        seconds=read.seconds,
        supply=Supply(content_bytes=read.content_bytes, patients=read.patients),
        etcd=found,
        million=million.Size(
            entries=read.entries,
            entry_bytes=read.entry_bytes,
            rounds=read.rounds,
            seconds=max(read.seconds, million.SECONDS),
            sustained_s=million.SUSTAINED_S,
            patients=read.patients,
        ),
    )
    return Options(
        order=order,
        baseline=_baseline(found, left_out=read.no_etcd),
        settings={
            "rounds": read.rounds,
            "seconds_a_row": read.seconds,
            "content_bytes": read.content_bytes,
            "patients": read.patients,
            "peer_that_leads": LEADS,
            "peer_that_is_called": CALLED,
            "member_of_etcd_that_is_called": "a follower",
            **({"entries": read.entries} if groups.MILLION in chosen_groups else {}),
        },
        json=read.json,
        docs=read.docs,
        redraw=read.redraw,
        strict=read.strict,
        directory=read.directory,
    )


def _baseline(found: Path | None, *, left_out: bool) -> Baseline:
    if found is not None:
        return Baseline(measured=True, release=etcd.release(found))
    return Baseline(
        measured=False, why="left out by --no-etcd" if left_out else etcd.HOW_TO_INSTALL
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ops.bench",
        description="Measures three peers and three members of etcd on this machine, in one run.",
    )
    parser.add_argument(
        "--only",
        type=_groups,
        default=groups.ALL,
        metavar="GROUP,...",
        help=f"these rows alone: {', '.join(sorted(groups.ALL | {groups.MILLION}))}",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="with the rows of a million entries: ten minutes more, or thirty",
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="the median of so many counts")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long a row takes")
    parser.add_argument("--content-bytes", type=int, default=CONTENT_BYTES)
    parser.add_argument("--patients", type=int, default=PATIENTS)
    parser.add_argument(
        "--entries", type=int, default=million.ENTRIES, help="how many those rows begin with"
    )
    parser.add_argument(
        "--entry-bytes", type=int, default=million.ENTRY_BYTES, help="the content of each of them"
    )
    parser.add_argument("--no-etcd", action="store_true", help="without the baseline")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here too")
    parser.add_argument(
        "--docs", action="store_true", help="show the results on the page in ops/docs"
    )
    parser.add_argument(
        "--redraw", action="store_true", help="only write that page anew, from its own results"
    )
    parser.add_argument("--strict", action="store_true", help="a missed goal fails the command")
    parser.add_argument("--directory", type=Path, default=_FOLDER, help="where files are made")
    return parser


def _groups(text: str) -> frozenset[str]:
    named = frozenset(text.split(","))
    unknown = named - groups.ALL - {groups.MILLION}
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}")
    return named
