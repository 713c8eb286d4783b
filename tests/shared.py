"""What every test may stand on: the shared vectors and data, and the tools of Debian.

A test that cannot run because one of these is absent skips with a reason that begins with an id
of tests/skips.toml; tests/conftest.py turns any other skip into a failure.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest

PROJECT_ROOT: Final = Path(__file__).resolve().parents[1]
SHARED_ROOT: Final = PROJECT_ROOT.parent / "shared"
SHARED_ABSENT: Final = "shared-absent"
TOOL_ABSENT: Final = "debian-tool-absent"

# Debian's own come before whatever else the PATH offers: those are the ones .ci/run installs.
_DEBIAN_DIRECTORIES: Final = ("/usr/bin", "/usr/sbin", "/bin", "/sbin")


def shared_path(relative: str) -> Path:
    """The file or folder `relative` of ../shared, or a skip that names it."""
    path = SHARED_ROOT / relative
    if not path.exists():
        reason = f"{SHARED_ABSENT}: ../shared/{relative} is not beside the project"
        pytest.skip(reason, allow_module_level=True)
    return path


def require_tool(name: str) -> str:
    """The path of the programme `name`, from the virtual environment or Debian, or a skip."""
    found = find_tool(name)
    if found is None:
        pytest.skip(f"{TOOL_ABSENT}: {name}", allow_module_level=True)
    return found


def find_tool(name: str) -> str | None:
    """The path of the programme `name`: beside this Python, else Debian's, else on the PATH."""
    beside_python = str(Path(sys.executable).parent)
    ordered = os.pathsep.join((beside_python, *_DEBIAN_DIRECTORIES))
    return shutil.which(name, path=ordered) or shutil.which(name)
