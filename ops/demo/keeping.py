"""How to look at peers that were left running, and how to stop them."""

import os.path
import shlex
from collections.abc import Sequence
from pathlib import Path

from ops.demo.commands import programme
from ops.demo.consortium import AUDITOR, OFFICE, OPERATOR, TOWN, Founded
from ops.demo.daemons import Daemon
from ops.demo.display import Display


def show_kept(display: Display, founded: Founded, daemons: Sequence[Daemon]) -> None:
    """Say where the peers are, and by what commands they are looked at and stopped."""
    caretree = _near(programme())
    town, office = founded.centres[TOWN], founded.centres[OFFICE]
    display.step("The peers go on running")
    display.table(
        ("member", "process", "metrics", "log"),
        [
            (
                daemon.centre.member,
                str(daemon.pid),
                f"http://{daemon.centre.http_address}/metrics",
                _near(daemon.log_file),
            )
            for daemon in daemons
        ],
    )
    looks = {
        "How they are:": [caretree, "status", "--client", _near(town.client_file(OPERATOR))],
        "The whole trail:": [caretree, "audit", "--client", _near(office.client_file(AUDITOR))],
        "Start one again:": [caretree, "serve", "--config", _near(town.config)],
        "Stop them:": ["kill", *(str(daemon.pid) for daemon in daemons)],
        "Then remove what they kept:": ["rm", "-r", _near(founded.folder)],
    }
    for what, words in looks.items():
        display.say(what)
        display.command(shlex.join(words))


def _near(path: Path) -> str:
    """The path as it is shortest from where this was started."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith(os.pardir) else relative
