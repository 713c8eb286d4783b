"""A consortium founded once by the commands, and copied for every test that uses it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.commands import (
    MEMBERS,
    TOWN,
    collect,
    done,
    init_member,
    init_with_kit,
    invite,
    sign,
)
from tests.cli.fake_client import FakeClient, client_file, put_in_place


@dataclass(frozen=True, slots=True, kw_only=True)
class Founding:
    """The folder of a founding: each member's directory, the genesis and its signatures."""

    folder: Path
    genesis_hash: str
    code: str  # of the township's recovery kit


@pytest.fixture(scope="session")
def _signed_once(tmp_path_factory: pytest.TempPathFactory) -> Founding:
    folder = tmp_path_factory.mktemp("signed")
    invite(folder)
    code = init_with_kit(
        folder,
        *("invitation", "--member", TOWN, "--display-name", "Township Centre"),
        *("--directory", TOWN, "--address", "127.0.0.1:17400"),
        *("--client-listen", "127.0.0.1:17401", "--http-listen", "none"),
    )
    init_member(folder, "hospital")
    init_member(folder, "office")
    genesis_hash = collect(folder)
    for member in MEMBERS:
        sign(folder, member)
    return Founding(folder=folder, genesis_hash=genesis_hash, code=code)


@pytest.fixture(scope="session")
def _founded_once(_signed_once: Founding, tmp_path_factory: pytest.TempPathFactory) -> Founding:
    folder = tmp_path_factory.mktemp("founded")
    founding = _copy(_signed_once, folder)
    signatures = [folder / f"{member}.genesis.signature" for member in MEMBERS]
    for member in MEMBERS:
        done(
            *("member", "import", folder / "genesis", *signatures),
            *("--hash", founding.genesis_hash, "--directory", folder / member),
        )
    return founding


@pytest.fixture
def signed(_signed_once: Founding, tmp_path: Path) -> Founding:
    """Three members that signed the genesis; nobody has imported it."""
    return _copy(_signed_once, tmp_path)


@pytest.fixture
def founded(_founded_once: Founding, tmp_path: Path) -> Founding:
    """Three members that imported the genesis."""
    return _copy(_founded_once, tmp_path)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeClient:
    """A fake in place, and CARETREE_CLIENT that names its file."""
    made = FakeClient()
    put_in_place(made, monkeypatch)
    monkeypatch.setenv("CARETREE_CLIENT", str(client_file(tmp_path)))
    return made


def _copy(founding: Founding, folder: Path) -> Founding:
    shutil.copytree(founding.folder, folder, dirs_exist_ok=True)
    return Founding(folder=folder, genesis_hash=founding.genesis_hash, code=founding.code)
