"""`caretree member principal` and `renew`: certificates for who calls a peer, and for the peer."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from caretree.cli.certificates import Issued, issue_peer, issue_principal
from caretree.cli.errors import CommandError
from caretree.cli.files import read_named
from caretree.cli.home import OPEN_MODE, Home, make_directory, peer_keys_of
from caretree.cli.options import Directory, Json
from caretree.cli.output import Output
from caretree.cli.roles import RoleName
from caretree.cli.templates import client_config, principal_config, write_config
from caretree.config.parse import load_config
from caretree.config.section import is_address, split_address
from caretree.config.values import Config, PrincipalKind
from caretree.crypto.keystore import Keystore
from caretree.ledger.certificate import policy_text
from caretree.ledger.genesis import Genesis
from caretree.ledger.values import Role
from caretree.model.ids import parse_name
from caretree.node.identity import peer_server_name
from caretree.storage.files import read_secret_file, write_file, write_secret_file

CERTIFICATE: str = "certificate.pem"
KEY: str = "key.pem"
_ANY_HOSTS = ("0.0.0.0", "::")  # noqa: S104 (compared with, not listened at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whom a certificate is to name, and where the client finds its peer."""

    name: str
    kind: PrincipalKind
    roles: frozenset[Role]
    address: str


def principal(
    *,
    name: Annotated[str, typer.Argument(help="The principal's name, as it signs its work.")],
    kind: Annotated[PrincipalKind, typer.Option(help="What stands behind the name.")],
    directory: Directory,
    role: Annotated[
        list[RoleName] | None,
        typer.Option(help="A role that the person holds, or the system may state."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="Where the client finds this peer, host:port, if not as it listens."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Issue a client's certificate, list it in the configuration, make its client.toml."""
    home = Home(path=directory)
    config = load_config(home.config)
    caller = _caller(config, name=name, kind=kind, roles=role or [], address=address)
    genesis, keystore = home.read_genesis(), home.read_keystore()
    issued = issue_principal(
        home.read_authority(),
        consortium=keystore.consortium,
        member=keystore.member,
        principal=caller.name,
        now=datetime.now(UTC),
        key_pem=None,
    )
    folder = home.principal(caller.name)
    _write_client(home, caller, issued, genesis=genesis, keystore=keystore)
    listed = principal_config(name=caller.name, kind=caller.kind, roles=caller.roles)
    write_config(home.config, read_named(home.config).decode() + listed)
    roles = sorted(role.name.lower() for role in caller.roles)
    Output(as_json=as_json).fields(
        f"{caller.name} may call the peer of {keystore.member}",
        [
            ("Client file", str(folder / "client.toml")),
            ("Roles", ", ".join(roles) or "none"),
            ("Certificate ends", f"{issued.expires:%Y-%m-%d}"),
            ("Next", "restart the daemon when it runs; hand the folder over as it is"),
        ],
        data={
            "name": caller.name,
            "kind": caller.kind.value,
            "roles": roles,
            "client": str(folder / "client.toml"),
            "expires": issued.expires.isoformat(),
        },
    )


def renew(
    *,
    directory: Directory,
    name: Annotated[
        str | None,
        typer.Option("--principal", help="Whose certificate to renew; else the peer's own."),
    ] = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Make a new key too, because the old one leaked.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Renew a certificate for another year."""
    home = Home(path=directory)
    keystore, authority, now = home.read_keystore(), home.read_authority(), datetime.now(UTC)
    if name is None:
        certificate, key = home.peer_certificate, home.peer_key
    else:
        folder = home.principal(parse_name(name, field="principal"))
        certificate, key = folder / CERTIFICATE, folder / KEY
    kept = read_secret_file(key)
    if kept is None:
        raise CommandError(f"{key} is missing", next_step="Check --principal and --directory.")
    consortium, member, key_pem = keystore.consortium, keystore.member, None if new_key else kept
    if name is None:
        peer = peer_keys_of(keystore).peer_id()
        issued = issue_peer(
            authority, consortium=consortium, member=member, peer=peer, now=now, key_pem=key_pem
        )
    else:
        issued = issue_principal(
            authority,
            consortium=consortium,
            member=member,
            principal=name,
            now=now,
            key_pem=key_pem,
        )
    write_secret_file(key, issued.key_pem)
    write_file(certificate, issued.certificate_pem, mode=OPEN_MODE)
    whose = "the peer" if name is None else name
    Output(as_json=as_json).fields(
        f"Certificate of {whose} renewed",
        [("Certificate", str(certificate)), ("Ends", f"{issued.expires:%Y-%m-%d}")],
        data={"certificate": str(certificate), "expires": issued.expires.isoformat()},
    )


def _caller(
    config: Config, *, name: str, kind: PrincipalKind, roles: list[RoleName], address: str | None
) -> Caller:
    """The principal asked for, checked before anything is issued."""
    parse_name(name, field="principal")
    if any(listed.name == name for listed in config.principals):
        raise CommandError(
            f"{name} is listed already",
            next_step="Renew its certificate with `caretree member renew --principal`.",
        )
    if kind is PrincipalKind.OPERATOR and roles:
        raise CommandError("an operator acts for no patient", next_step="Leave --role out.")
    if kind is not PrincipalKind.OPERATOR and not roles:
        raise CommandError(f"a {kind.value} needs a role", next_step="Give --role for each.")
    where = address or config.listen.client
    host, _ = split_address(where) if is_address(where) else ("", 0)
    if not host or host in _ANY_HOSTS:
        raise CommandError(
            "clients need a host to call", next_step="Give --address HOST:PORT of this peer."
        )
    return Caller(
        name=name, kind=kind, roles=frozenset(item.role() for item in roles), address=where
    )


def _write_client(
    home: Home, caller: Caller, issued: Issued, *, genesis: Genesis, keystore: Keystore
) -> None:
    """Everything that the client needs, in a folder that can be moved."""
    folder: Path = home.principal(caller.name)
    make_directory(folder)
    write_secret_file(folder / KEY, issued.key_pem)
    write_file(folder / CERTIFICATE, issued.certificate_pem, mode=OPEN_MODE)
    write_file(folder / "ca.pem", home.read_authority().certificate_pem(), mode=OPEN_MODE)
    write_file(folder / "policy", policy_text(genesis).encode(), mode=OPEN_MODE)
    text = client_config(
        principal=caller.name,
        member=keystore.member,
        address=caller.address,
        server_name=peer_server_name(
            consortium=keystore.consortium,
            member=keystore.member,
            peer=peer_keys_of(keystore).peer_id(),
        ),
        origin=genesis.origin,
    )
    write_file(folder / "client.toml", text.encode(), mode=OPEN_MODE)
