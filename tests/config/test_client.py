from pathlib import Path

import pytest
from caretree.config.client import load_client_config
from caretree.config.errors import ConfigError
from caretree.config.values import ClientConfig

from tests.config.files import CLIENT, write_config


def test_a_client_file_is_read_with_its_paths_from_its_own_directory(tmp_path: Path) -> None:
    config = load_client_config(write_config(tmp_path, text=CLIENT))

    assert config == ClientConfig(
        address="127.0.0.1:7401",
        server_name="00000000000000aa.town.city.example",
        ca_certificate=tmp_path / "ca.pem",
        certificate=tmp_path / "certificate.pem",
        key=tmp_path / "key.pem",
        policy=tmp_path / "../policy",
        origin="city.example/0a1b2c3d",
    )


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("127.0.0.1:7401", "127.0.0.1", "address"),
        ("00000000000000aa.town", "Town", "server_name"),
        ("city.example/0a1b2c3d", "city.example/0A1B2C3D", "origin"),
        ("city.example/0a1b2c3d", "city.example", "origin"),
        ("policy =", "polcy =", "policy"),
        ("policy =", 'policies = "x"\npolicy =', "policies"),
        ('"ca.pem"', "7", "ca_certificate"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_client_config(write_config(tmp_path, text=CLIENT.replace(old, new)))

    assert caught.value.key == key
