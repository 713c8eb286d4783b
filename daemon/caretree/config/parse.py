"""A daemon's TOML file -> Config."""

from pathlib import Path
from typing import Final

from caretree.config.errors import ConfigError
from caretree.config.section import Section
from caretree.config.text import open_document
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
from caretree.model.errors import MalformedError
from caretree.model.ids import MemberId, parse_member_id, parse_name
from caretree.model.limits import MEMBERS_MAX

PRINCIPALS_MAX: Final = 1024
TICK_MS_MIN: Final = 5
TICK_MS_MAX: Final = 1000
TICKS_MAX: Final = 1000
# A follower that misses a few heartbeats must not call an election.
HEARTBEATS_PER_ELECTION_MIN: Final = 4

_ROLES: Final = {role.name.lower(): role for role in Role}
_KINDS: Final = {kind.value: kind for kind in PrincipalKind}
_LEVELS: Final = {level.value: level for level in LogLevel}


def load_config(path: Path) -> Config:
    """The configuration in a daemon's file; relative paths count from the file's directory.

    Raises:
        ConfigError: naming the key and its line.
    """
    document = open_document(path)
    listen = _listen(document.table("listen", required=True))
    config = Config(
        peer=_peer(document.table("peer", required=True)),
        listen=listen,
        tls=_tls(document.table("tls", required=True)),
        peers=_peers(document.table("peers", required=False)),
        principals=_principals(document),
        api=_api(document.table("api", required=False)),
        http=_http(document.table("http", required=False), listen),
        log=_log(document.table("log", required=False)),
        timing=_timing(document.table("timing", required=False)),
    )
    document.finish()
    return config


def keystore_key_path(config: Config, *, path: Path, credentials: str | None) -> Path:
    """Where the keystore's key lies: the named file, else the systemd credential `keystore-key`.

    `credentials` is the daemon's $CREDENTIALS_DIRECTORY, `path` the configuration's own.

    Raises:
        ConfigError: the file names none, and systemd hands in no credentials.
    """
    if config.peer.keystore_key is not None:
        return config.peer.keystore_key
    if not credentials:
        expected = "expected a path, or the systemd credential keystore-key: neither is given"
        raise ConfigError(path, line=None, key="peer.keystore_key", expected=expected)
    return Path(credentials) / "keystore-key"


def _peer(section: Section) -> PeerSection:
    value = PeerSection(
        member=_member(section, "member"),
        data_directory=section.path("data_directory"),
        keystore=section.path("keystore"),
        keystore_key=section.path("keystore_key") if section.has("keystore_key") else None,
    )
    section.finish()
    return value


def _listen(section: Section) -> Listen:
    value = Listen(
        client=section.address("client"),
        peer=section.address("peer"),
        http=section.address("http") if section.has("http") else None,
    )
    if value.client == value.peer:
        section.refuse("peer", "expected another address than listen.client")
    if value.http in {value.client, value.peer}:
        section.refuse("http", "expected another address than listen.client and listen.peer")
    section.finish()
    return value


def _tls(section: Section) -> TlsFiles:
    value = TlsFiles(
        peer_certificate=section.path("peer_certificate"),
        peer_key=section.path("peer_key"),
        deny_list=section.path("deny_list") if section.has("deny_list") else None,
    )
    section.finish()
    return value


def _peers(section: Section) -> dict[MemberId, str]:
    if len(section.names) > MEMBERS_MAX:
        section.refuse("", f"expected at most {MEMBERS_MAX} members")
    return {_member_key(section, key): section.address(key) for key in section.names}


def _principals(document: Section) -> tuple[Principal, ...]:
    sections = document.tables("principals")
    if len(sections) > PRINCIPALS_MAX:
        document.refuse("principals", f"expected at most {PRINCIPALS_MAX}")
    principals: dict[str, Principal] = {}
    for section in sections:
        principal = _principal(section)
        if principal.name in principals:
            section.refuse("name", "expected a name that no principal above bears")
        principals[principal.name] = principal
    return tuple(principals.values())


def _principal(section: Section) -> Principal:
    name = section.text("name")
    try:
        parse_name(name, field="name")
    except MalformedError as error:
        section.refuse("name", error.expected)
    kind = _KINDS[section.choice("kind", _KINDS)]
    roles = frozenset(_ROLES[role] for role in section.choices("roles", _ROLES))
    if kind is PrincipalKind.OPERATOR and roles:
        section.refuse("roles", "expected none: an operator acts for no patient")
    if kind is not PrincipalKind.OPERATOR and not roles:
        section.refuse("roles", f"expected at least one of {', '.join(_ROLES)}")
    section.finish()
    return Principal(name=name, kind=kind, roles=roles)


def _api(section: Section) -> Api:
    value = Api(reflection=section.flag("reflection", default=Api().reflection))
    section.finish()
    return value


def _http(section: Section, listen: Listen) -> Http:
    value = Http(tiles=section.flag("tiles", default=Http().tiles))
    if value.tiles and listen.http is None:
        section.refuse("tiles", "expected listen.http to be set too: tiles are served there")
    section.finish()
    return value


def _log(section: Section) -> Log:
    level = Log().level
    if section.has("level"):
        level = _LEVELS[section.choice("level", _LEVELS)]
    section.finish()
    return Log(level=level)


def _timing(section: Section) -> Timing:
    usual = Timing()
    value = Timing(
        tick_ms=section.integer(
            "tick_ms",
            unit="milliseconds",
            low=TICK_MS_MIN,
            high=TICK_MS_MAX,
            default=usual.tick_ms,
        ),
        heartbeat_ticks=_ticks(section, "heartbeat_ticks", usual.heartbeat_ticks),
        election_ticks=_ticks(section, "election_ticks", usual.election_ticks),
    )
    if value.election_ticks < HEARTBEATS_PER_ELECTION_MIN * value.heartbeat_ticks:
        key = "election_ticks" if section.has("election_ticks") else "heartbeat_ticks"
        section.refuse(
            key,
            f"expected election_ticks of at least {HEARTBEATS_PER_ELECTION_MIN} times"
            f" heartbeat_ticks, found {value.election_ticks} and {value.heartbeat_ticks}",
        )
    section.finish()
    return value


def _ticks(section: Section, key: str, default: int) -> int:
    return section.integer(key, unit="ticks", low=1, high=TICKS_MAX, default=default)


def _member(section: Section, key: str) -> MemberId:
    try:
        return parse_member_id(section.text(key))
    except MalformedError as error:
        section.refuse(key, error.expected)


def _member_key(section: Section, key: str) -> MemberId:
    try:
        return parse_member_id(key)
    except MalformedError as error:
        section.refuse(key, f"expected a member id: {error.expected}")
