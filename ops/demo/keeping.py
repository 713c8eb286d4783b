"""How to look at peers that were left running, and how to stop them."""

import shlex
from collections.abc import Sequence

from ops.demo.commands import programme
from ops.demo.consortium import AUDITOR, OFFICE, OPERATOR, TOWN, Founded
from ops.demo.daemons import Daemon
from ops.demo.display import Display


def show_kept(display: Display, founded: Founded, daemons: Sequence[Daemon]) -> None:
    """Say where the peers are and by what commands they are looked at and stopped."""
    caretree = programme()
    town, office = founded.centres[TOWN], founded.centres[OFFICE]
    display.step("The peers go on running")
    display.table(
        ("member", "process", "metrics", "log"),
        [
            (
                daemon.centre.member,
                str(daemon.pid),
                f"http://{daemon.centre.http_address}/metrics",
                str(daemon.log_file),
            )
            for daemon in daemons
        ],
    )
    commands = {
        "how they are": [caretree, "status", "--client", town.client_file(OPERATOR)],
        "the trail": [caretree, "audit", "--client", office.client_file(AUDITOR)],
        "start one again": daemons[0].command,
        "stop them": ["kill", *(daemon.pid for daemon in daemons)],
        "and forget them": ["rm", "-r", founded.folder],
    }
    for what, words in commands.items():
        display.output(shlex.join(map(str, words)), f"  {what}")
