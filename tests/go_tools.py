"""Go's own note and tlog packages, in the programme of tests/tools/gonote."""

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.shared import PROJECT_ROOT, TOOL_ABSENT, require_tool

GO_PATH: Final = Path("/usr/share/gocode")  # where Debian keeps the sources of Go packages


def build_gonote(folder: Path) -> Path:
    """The programme, built in the folder; or a skip that names what is missing."""
    go = require_tool("go")
    if not (GO_PATH / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip(f"{TOOL_ABSENT}: golang-golang-x-mod-dev")
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "GOCACHE": str(folder / "cache"),
        "GOPATH": str(GO_PATH),
        "GO111MODULE": "off",
        "GOFLAGS": "",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    source = PROJECT_ROOT / "tests/tools/gonote/main.go"
    programme = folder / "gonote"
    built = subprocess.run(
        [go, "build", "-o", str(programme), str(source)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return programme


def run_gonote(programme: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """How the programme ended that verified the log in the folder."""
    return subprocess.run(
        [str(programme), str(folder)], capture_output=True, text=True, check=False
    )
