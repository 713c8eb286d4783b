from pathlib import Path

import pytest

from caretree.config.errors import ConfigError
from caretree.config.parse import PRINCIPALS_MAX, keystore_key_path, load_config
from caretree.config.section import split_address
from caretree.config.text import FILE_BYTES_MAX
from caretree.config.values import (
    Api,
    Config,
    Http,
    Listen,
    Log,
    LogLevel,
    PeerSection,
    Principal,
    PrincipalKind,
    Timing,
    TlsFiles,
)
from caretree.ledger.values import Role
from caretree.model.ids import MemberId
from tests.config.files import DAEMON, write_config

# The first line after what every test file begins with, and a blank line.
NEXT = DAEMON.count("\n") + 2


def test_a_file_with_the_required_keys_has_the_defaults_for_all_others(tmp_path: Path) -> None:
    config = load_config(write_config(tmp_path))

    assert config == Config(
        peer=PeerSection(
            member=MemberId("town"),
            data_directory=tmp_path / "data",
            keystore=Path("/etc/caretree/keystore"),
            keystore_key=None,
        ),
        listen=Listen(client="127.0.0.1:7401", peer="[::1]:7402", http=None),
        tls=TlsFiles(peer_certificate=tmp_path / "peer.pem", peer_key=tmp_path / "peer.key"),
        peers={},
        principals=(),
        api=Api(reflection=False),
        http=Http(tiles=False),
        log=Log(level=LogLevel.INFO),
        timing=Timing(tick_ms=50, heartbeat_ticks=2, election_ticks=16),
    )


def test_every_key_is_read(tmp_path: Path) -> None:
    text = DAEMON.replace("[listen]", 'keystore_key = "key"\n[listen]\nhttp = "localhost:7403"')
    more = """
[peers]
hospital = "h.example:1"
[api]
reflection = true
[http]
tiles = true
[log]
level = "debug"
[timing]
tick_ms = 10
heartbeat_ticks = 1
election_ticks = 4
[[principals]]
name = "records"
kind = "system"
roles = ["physician", "nurse"]
[[principals]]
name = "night-shift"
kind = "operator"
"""

    config = load_config(write_config(tmp_path, more, text=text))

    assert config.peer.keystore_key == tmp_path / "key"
    assert config.listen.http == "localhost:7403"
    assert config.peers == {"hospital": "h.example:1"}
    assert config.api.reflection
    assert config.http.tiles
    assert config.log.level is LogLevel.DEBUG
    assert config.timing == Timing(tick_ms=10, heartbeat_ticks=1, election_ticks=4)
    assert config.principals == (
        Principal(
            name="records",
            kind=PrincipalKind.SYSTEM,
            roles=frozenset({Role.PHYSICIAN, Role.NURSE}),
        ),
        Principal(name="night-shift", kind=PrincipalKind.OPERATOR, roles=frozenset()),
    )


PERSON = '[[principals]]\nname = "a"\nkind = "person"\nroles = ["nurse"]\n'


@pytest.mark.parametrize(
    ("more", "line", "key", "expected"),
    [
        ("\n[log]\ncolour = true", 2, "log.colour", "unknown key; known here: level"),
        ("[loging]", 0, "loging", "unknown key"),
        ('[timing]\ntick_ms = "50ms"', 1, "timing.tick_ms", "a whole number of milliseconds"),
        ("[timing]\n\ntick_ms = 4", 2, "timing.tick_ms", "expected 5 to 1000 milliseconds, found 4"),
        ("[timing]\ntick_ms = 1001", 1, "timing.tick_ms", "5 to 1000 milliseconds, found 1001"),
        ("[timing]\ntick_ms = 50.0", 1, "timing.tick_ms", "found a number"),
        ("[timing]\ntick_ms = true", 1, "timing.tick_ms", "found true or false"),
        ("[timing]\nelection_ticks = 7", 1, "timing.election_ticks", "found 7 and 2"),
        ("[timing]\nheartbeat_ticks = 5", 1, "timing.heartbeat_ticks", "found 16 and 5"),
        ("[api]\nreflection = 1", 1, "api.reflection", "true or false, found a whole number"),
        ("[http]\ntiles = true", 1, "http.tiles", "listen.http to be set"),
        ('[log]\nlevel = "loud"', 1, "log.level", "one of debug, info, warning, error"),
        ('[peers]\nHospital = "h:1"', 1, "peers.Hospital", "expected a member id"),
        ('[peers]\nhospital = "h"', 1, "peers.hospital", "expected host:port"),
        ('[peers]\nhospital = ["h:1"]', 1, "peers.hospital", "expected a text, found something"),
        ("log = 3", 0, "tls.log", "unknown key"),
        ("[principals]", 0, "principals", "expected tables [[principals]]"),
        (PERSON + PERSON, 5, "principals.name", "no principal above bears"),
        (PERSON + '[[principals]]\nname = "b"', 4, "principals.kind", "it is missing"),
        (PERSON + 'role = "nurse"', 4, "principals.role", "unknown key; known here: kind, name"),
        (PERSON.replace('"a"', '"A"'), 1, "principals.name", "expected 1 to 32 of a-z"),
        (PERSON.replace("person", "operator"), 3, "principals.roles", "expected none"),
        (PERSON.replace('"nurse"', ""), 3, "principals.roles", "at least one of physician"),
        (PERSON.replace("nurse", "surgeon"), 3, "principals.roles", "some of physician, nurse"),
        (PERSON.replace("]\n", ', "nurse"]\n').replace("s, ", "s"), 3, "principals", "each once"),
        (PERSON.replace('["nurse"]', '"nurse"'), 3, "principals.roles", "a list of texts"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, more: str, line: int, key: str, expected: str
) -> None:
    path = write_config(tmp_path, more)

    with pytest.raises(ConfigError) as caught:
        load_config(path)

    assert caught.value.line == NEXT - 1 + line + 1 - 1 + (0)
    assert caught.value.key.startswith(key)
    assert expected in caught.value.expected
    assert str(caught.value).startswith(f"{path}:{caught.value.line}: {key}")
