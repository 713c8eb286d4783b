"""The configuration files that commands write, with a comment where a person will want one."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from caretree.config.parse import load_config
from caretree.config.values import PrincipalKind
from caretree.ledger.values import Role
from caretree.model.errors import RejectedError
from caretree.model.ids import MemberId
from caretree.storage.files import write_file

CONFIG_MODE: Final = 0o600

_DAEMON: Final = """\
# The peer of {display_name}. Every key is explained in ops/docs/configuration.md; relative paths
# count from this file. The daemon reads it once, at its start.

[peer]
member = {member}
data_directory = "data"
keystore = "keystore"
# Under systemd, hand this file over as the credential keystore-key and remove the line.
keystore_key = "keystore.key"

[listen]
# Where this member's own systems and people call.
client = {client}
# Where the other members' peers call; they look for it at {advertised}.
peer = {peer}
# Metrics and health. This port has neither TLS nor passwords: keep it on loopback.
{http}

[tls]
peer_certificate = "peer.pem"
peer_key = "peer.key"
# Certificates that are let in no more, by fingerprint; looked at again while the daemon runs.
# deny_list = "denied"

# When another member's peer moves, say where it is found now.
# [peers]
# hospital = "10.2.0.5:7402"

# Who may call this peer. `caretree member principal` adds to this list.
"""

_PRINCIPAL: Final = """
[[principals]]
name = {name}
kind = {kind}
roles = {roles}
"""

_CLIENT: Final = """\
# How {principal} of {member} reaches its peer and checks what it answers. Name this file with
# --client, or in the environment variable CARETREE_CLIENT. The folder may be moved as a whole.
address = {address}
server_name = {server_name}
ca_certificate = "ca.pem"
certificate = "certificate.pem"
key = "key.pem"
policy = "policy"
origin = {origin}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where a peer listens; no HTTP where `http` is None."""

    client: str
    peer: str
    http: str | None


def daemon_config(
    *, member: MemberId, display_name: str, advertised: str, listening: Listening
) -> str:
    """The text of caretree.toml for a new member."""
    http = '# http = "127.0.0.1:7403"' if listening.http is None else None
    return _DAEMON.format(
        display_name=display_name,
        member=_quoted(member),
        client=_quoted(listening.client),
        peer=_quoted(listening.peer),
        advertised=advertised,
        http=http or f"http = {_quoted(listening.http or '')}",
    )


def principal_config(*, name: str, kind: PrincipalKind, roles: Collection[Role]) -> str:
    """The text that lists a principal in caretree.toml."""
    names = ", ".join(_quoted(role.name.lower()) for role in sorted(roles))
    return _PRINCIPAL.format(name=_quoted(name), kind=_quoted(kind.value), roles=f"[{names}]")


def client_config(
    *, principal: str, member: MemberId, address: str, server_name: str, origin: str
) -> str:
    """The text of a principal's client.toml."""
    return _CLIENT.format(
        principal=principal,
        member=member,
        address=_quoted(address),
        server_name=_quoted(server_name),
        origin=_quoted(origin),
    )


def write_config(path: Path, text: str) -> None:
    """Put a daemon's configuration in its file, once it is found to be one.

    Raises:
        ConfigError: it would be refused; what stands at `path` stays as it is.
        StorageError: the disk refused.
    """
    draft = path.with_name(f".{path.name}.draft")
    write_file(draft, text.encode(), mode=CONFIG_MODE)
    try:
        load_config(draft)
    except RejectedError:
        draft.unlink()
        raise
    draft.rename(path)


def _quoted(text: str) -> str:
    # A TOML basic string takes every escape that JSON writes.
    return json.dumps(text, ensure_ascii=True)
