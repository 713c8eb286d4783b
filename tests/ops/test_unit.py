"""The systemd unit is valid, hardened, and agrees with the daemon's exit statuses."""

import re
import subprocess
from pathlib import Path
from typing import Final

from caretree.config.exit_status import ExitStatus

from tests.shared import PROJECT_ROOT, require_tool

UNIT: Final = PROJECT_ROOT / "ops" / "systemd" / "caretree.service"
TEXT: Final = UNIT.read_text(encoding="utf-8")
# In tenths, as systemd-analyze takes it.
EXPOSURE_TENTHS_MAX: Final = 15


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    # The daemon need not be installed here: another programme stands in for it.
    unit = tmp_path / UNIT.name
    unit.write_text(TEXT.replace("/usr/bin/caretree ", "/bin/true "), encoding="utf-8")
    command = [require_tool("systemd-analyze"), "verify", "--man=no", str(unit)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_is_little_exposed() -> None:
    command = [require_tool("systemd-analyze"), "security", "--offline=true", "--no-pager"]
    command += [f"--threshold={EXPOSURE_TENTHS_MAX}", str(UNIT)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_what_waits_for_a_person_is_not_started_again() -> None:
    prevented = re.search(r"^RestartPreventExitStatus=(.+)$", TEXT, re.MULTILINE)

    assert prevented is not None
    assert set(prevented[1].split()) == {
        str(int(ExitStatus.REFUSED)),
        str(int(ExitStatus.FATAL)),
    }


def test_keys_reach_no_core_dump_no_swap_and_come_as_a_credential() -> None:
    lines = TEXT.splitlines()

    assert "LimitCORE=0" in lines
    assert "MemorySwapMax=0" in lines
    assert any(line.startswith("LoadCredential=keystore-key:") for line in lines)
