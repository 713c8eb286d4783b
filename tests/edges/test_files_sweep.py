"""One flipped bit anywhere in a file that a start reads is refused by the file's name.

LevelDB's files are swept in tests/storage/test_leveldb_damage.py, the watermark's bytes in
tests/storage/test_watermark.py.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from caretree.cli.errors import CommandError
from caretree.cli.start_files import (
    check_belongs,
    check_certificate,
    read_genesis,
    read_keystore,
)
from caretree.config.errors import ConfigError
from caretree.config.parse import load_config
from caretree.crypto.keystore import Keystore
from caretree.ledger.genesis import Genesis
from caretree.model.errors import FatalError
from caretree.storage.directory import DataDirectory

from ops.demo.consortium import TOWN
from tests.edges.daemons import found
from tests.edges.damage import flipped, places, put_right


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A member's directory, and what a start reads there."""

    folder: Path

    @property
    def config_file(self) -> Path:
        return self.folder / "caretree.toml"

    def genesis(self) -> Genesis:
        return read_genesis(self.folder)

    def keystore(self) -> Keystore:
        return read_keystore(self.config_file, load_config(self.config_file), credentials=None)

    def certificate(self) -> bool:
        config, genesis = load_config(self.config_file), self.genesis()
        peer = check_belongs(config, self.keystore(), genesis)
        now = datetime.now(UTC)
        return check_certificate(config.tls, genesis, member=config.peer.member, peer=peer, now=now)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    founded = asyncio.run(found(tmp_path_factory.mktemp("sweep")))
    return Home(folder=founded.centres[TOWN].folder)


def refused_at(path: Path, read: Callable[[], object]) -> tuple[list[int], list[int]]:
    """Where a flipped bit was refused by the file's name, and where it changed nothing."""
    before, content = read(), path.read_bytes()
    refused: list[int] = []
    harmless: list[int] = []
    silent: list[int] = []
    with put_right(path):
        for at in places(len(content)):
            path.write_bytes(flipped(content, at))
            try:
                same = read() == before
            except CommandError as error:
                (refused if path.name in str(error) and error.next_step else silent).append(at)
            else:
                (harmless if same else silent).append(at)
    assert silent == []
    return refused, harmless


@pytest.mark.parametrize("name", ["keystore", "keystore.key"])
def test_a_flipped_bit_in_the_keystore_or_its_key_is_refused(home: Home, name: str) -> None:
    _, harmless = refused_at(home.folder / name, home.keystore)

    assert harmless == []


@pytest.mark.parametrize("name", ["genesis", "genesis-hash"])
def test_a_flipped_bit_in_the_genesis_or_its_hash_is_refused_or_harmless(
    home: Home, name: str
) -> None:
    refused, harmless = refused_at(home.folder / name, home.genesis)

    # Another kind of line end, or another case of a hex digit, is read as the same.
    assert len(harmless) < 0.2 * len(refused)


@pytest.mark.parametrize("name", ["peer.pem", "peer.key"])
def test_a_flipped_bit_in_the_certificate_or_its_key_is_refused_or_harmless(
    home: Home, name: str
) -> None:
    refused, harmless = refused_at(home.folder / name, home.certificate)

    # Line ends, and what no reader of PEM looks at.
    assert len(harmless) < 0.1 * len(refused)


def test_a_flipped_bit_in_the_version_of_the_data_directory_is_refused(home: Home) -> None:
    path = home.folder / "data" / "VERSION"
    content = path.read_bytes()
    with put_right(path):
        for at in range(len(content)):
            path.write_bytes(flipped(content, at))
            with pytest.raises(FatalError, match=str(home.folder / "data")):
                DataDirectory.open(home.folder / "data")


def test_a_flipped_bit_in_the_configuration_is_refused_or_another_configuration(
    home: Home,
) -> None:
    path, told = home.config_file, list[str]()
    content = path.read_bytes()
    with put_right(path):
        for at in range(len(content)):
            path.write_bytes(flipped(content, at))
            try:
                load_config(path)
            except ConfigError as error:
                told.append(str(error))

    # What was meant nobody can know: a comment or a value may be another and still be one.
    assert len(told) > len(content) / 4
    assert [text for text in told if not text.startswith(str(path))] == []
