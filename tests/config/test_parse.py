from pathlib import Path

import pytest
from caretree.config.errors import ConfigError
from caretree.config.parse import PRINCIPALS_MAX, keystore_key_path, load_config
from caretree.config.section import split_address
from caretree.config.text import FILE_BYTES_MAX, LINE_DOTS_MAX
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
        tls=TlsFiles(
            peer_certificate=tmp_path / "peer.pem", peer_key=tmp_path / "peer.key", deny_list=None
        ),
        peers={},
        principals=(),
        api=Api(reflection=False),
        http=Http(tiles=False),
        log=Log(level=LogLevel.INFO),
        timing=Timing(tick_ms=50, heartbeat_ticks=2, election_ticks=16),
    )


def test_every_key_is_read(tmp_path: Path) -> None:
    text = DAEMON.replace("[listen]", 'keystore_key = "key"\n[listen]\nhttp = "localhost:7403"')
    text = text.replace("[tls]", '[tls]\ndeny_list = "denied"')
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
    assert config.tls.deny_list == tmp_path / "denied"
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
        (
            "[timing]\n\ntick_ms = 4",
            2,
            "timing.tick_ms",
            "expected 5 to 1000 milliseconds, found 4",
        ),
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
        (PERSON.replace('"nurse"', '"nurse", "nurse"'), 3, "principals.roles", "each once"),
        (PERSON.replace('["nurse"]', '"nurse"'), 3, "principals.roles", "a list of texts"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, more: str, line: int, key: str, expected: str
) -> None:
    path = write_config(tmp_path, more)

    with pytest.raises(ConfigError) as caught:
        load_config(path)

    assert caught.value.line == NEXT + line
    assert caught.value.key.startswith(key)
    assert expected in caught.value.expected
    assert str(caught.value).startswith(f"{path}:{caught.value.line}: {key}")


@pytest.mark.parametrize(
    ("old", "new", "key", "expected"),
    [
        ('member = "town"\n', "", "peer.member", "expected a text, and it is missing"),
        ('"town"', '"Town"', "peer.member", "of a-z"),
        ('"data"', '""', "peer.data_directory", "1 to 4096 printable"),
        ("127.0.0.1:7401", "127.0.0.1", "listen.client", "host:port"),
        ("127.0.0.1:7401", "127.0.0.1:0", "listen.client", "host:port"),
        ("127.0.0.1:7401", "127.0.0.1:65536", "listen.client", "host:port"),
        ("127.0.0.1:7401", "::1:7401", "listen.client", "host:port"),
        ("127.0.0.1:7401", "[::1]:7402", "listen.peer", "another address than listen.client"),
        ("[listen]", '[listen]\nhttp = "[::1]:7402"', "listen.http", "another address"),
        ("[tls]", "[tsl]", "tls", "a table [tls], and it is missing"),
    ],
)
def test_a_required_key_is_checked(
    tmp_path: Path, old: str, new: str, key: str, expected: str
) -> None:
    path = write_config(tmp_path, text=DAEMON.replace(old, new))

    with pytest.raises(ConfigError) as caught:
        load_config(path)

    assert caught.value.key == key
    assert expected in caught.value.expected


def test_what_is_not_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not TOML") as caught:
        load_config(write_config(tmp_path, "oops\n"))

    assert caught.value.line == NEXT


def test_what_is_not_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "caretree.toml"
    path.write_bytes(b"# one\n# \xff\n")

    with pytest.raises(ConfigError, match="UTF-8") as caught:
        load_config(path)

    assert caught.value.line == 2


def test_an_absent_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot be read: No such file"):
        load_config(tmp_path / "absent.toml")


def test_a_file_of_the_largest_size_is_read_and_a_larger_one_is_not(tmp_path: Path) -> None:
    comment = "#" * (FILE_BYTES_MAX - len(DAEMON) - 1)
    load_config(write_config(tmp_path, comment))

    with pytest.raises(ConfigError, match=f"at most {FILE_BYTES_MAX} bytes"):
        load_config(write_config(tmp_path, comment + "#"))


def test_principals_are_bounded(tmp_path: Path) -> None:
    tables = [PERSON.replace('"a"', f'"a{number}"') for number in range(PRINCIPALS_MAX + 1)]
    assert len(load_config(write_config(tmp_path, *tables[1:])).principals) == PRINCIPALS_MAX

    with pytest.raises(ConfigError, match=f"at most {PRINCIPALS_MAX}"):
        load_config(write_config(tmp_path, *tables))


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nested too deeply|not TOML"):
        load_config(write_config(tmp_path, "x = " + "[" * 100_000))


def test_a_number_of_more_digits_than_any_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a number has too many digits"):
        load_config(write_config(tmp_path, f"[timing]\ntick_ms = {'9' * 5000}"))


def test_a_line_has_so_many_dots_and_no_more(tmp_path: Path) -> None:
    most = "a." * LINE_DOTS_MAX

    with pytest.raises(ConfigError, match="unknown key"):
        load_config(write_config(tmp_path, f"[{most}a]"))
    with pytest.raises(ConfigError, match=f":{NEXT}: expected at most {LINE_DOTS_MAX} dots"):
        load_config(write_config(tmp_path, f"[{most}a.a]"))


def test_a_message_never_repeats_a_text_of_the_file(tmp_path: Path) -> None:
    text = DAEMON.replace("127.0.0.1:7401", "s3cret")

    with pytest.raises(ConfigError) as caught:
        load_config(write_config(tmp_path, text=text))

    assert "s3cret" not in str(caught.value)


def test_the_keystore_key_is_the_named_file_else_the_credential(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    without = load_config(path)
    named = load_config(
        write_config(tmp_path, text=DAEMON.replace("[listen]", 'keystore_key = "k"\n[listen]'))
    )

    assert keystore_key_path(named, path=path, credentials="/run/x") == tmp_path / "k"
    assert keystore_key_path(without, path=path, credentials="/run/x") == Path(
        "/run/x/keystore-key"
    )
    with pytest.raises(ConfigError, match="systemd credential keystore-key"):
        keystore_key_path(without, path=path, credentials=None)


@pytest.mark.parametrize(
    ("address", "parts"),
    [("localhost:1", ("localhost", 1)), ("[::1]:65535", ("::1", 65535))],
)
def test_an_address_is_split(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts
