import socket
from pathlib import Path

import pytest
from caretree.telemetry.systemd import READY, notify


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_hears_the_state(tmp_path: Path, abstract: bool) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + path if abstract else path)
        manager.settimeout(5)

        told = notify(READY, notify_socket="@" + path if abstract else path)

        assert told
        assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", [None, "", "relative", "/absent/socket", "@nobody"])
def test_without_a_service_manager_nothing_is_told(address: str | None) -> None:
    assert not notify(READY, notify_socket=address)
