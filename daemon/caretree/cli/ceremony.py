"""`caretree consortium create` and `found`, `caretree policy`: what one does for all founders."""

import time
from pathlib import Path
from typing import Annotated, Final

import typer

from caretree.cli.certificates import check_authorities
from caretree.cli.files import PUBLIC_MODE, read_named, refuse_existing, write_new
from caretree.cli.home import read_hash
from caretree.cli.options import Json
from caretree.cli.output import Output, grouped
from caretree.crypto.custody import SystemRandom, seal_to
from caretree.crypto.resident_number import RESIDENT_NUMBER_SYSTEM
from caretree.crypto.suite import KEY_BYTES
from caretree.ledger.armour import ARMOUR_BYTES_MAX
from caretree.ledger.ceremony import check_founded, found, parse_genesis_file
from caretree.ledger.certificate import policy_text
from caretree.ledger.genesis import Genesis
from caretree.ledger.invitations import (
    INVITATION_NONCE_BYTES,
    create_invitation,
    parse_invitation,
)
from caretree.model.ids import TimeMs

MS_PER_S: Final = 1000


def create(
    *,
    name: Annotated[str, typer.Argument(help="The consortium's name, domain-like.")],
    member: Annotated[list[str], typer.Option(help="A founding member's id; give it for each.")],
    out: Annotated[Path, typer.Option(help="Where to put the invitation.")],
    identifier_system: Annotated[
        list[str] | None,
        typer.Option(
            help="A system of patient identifiers to accept, the preferred one first; the"
            " resident identity number when not given."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write an invitation."""
    invitation = create_invitation(
        consortium=name,
        identifier_systems=identifier_system or [RESIDENT_NUMBER_SYSTEM],
        members=member,
        nonce=SystemRandom().random_bytes(INVITATION_NONCE_BYTES),
    )
    write_new(out, invitation, mode=PUBLIC_MODE)
    invited = parse_invitation(invitation)
    systems = ", ".join(invited.identifier_systems)
    Output(as_json=as_json).fields(
        f"Invitation to {name} written",
        [
            ("File", str(out)),
            ("Members", ", ".join(invited.members)),
            ("Identifier systems", systems),
            ("Next", "each member runs `caretree member init` with this file"),
        ],
        data={
            "consortium": name,
            "invitation": str(out),
            "members": list(invited.members),
            "identifier_systems": list(invited.identifier_systems),
            "hash": invited.hash.hex(),
        },
    )


def found_consortium(
    *,
    invitation: Annotated[Path, typer.Argument(help="The invitation.")],
    request: Annotated[list[Path], typer.Argument(help="Every member's join request.")],
    out: Annotated[Path, typer.Option(help="Where to put the genesis.")],
    as_json: Json = False,
) -> None:
    """Collect the join requests into a genesis, and forget the pseudonym key drawn for it."""
    refuse_existing(out)
    file = found(
        _read(invitation),
        requests=[_read(path) for path in request],
        pseudonym_key=SystemRandom().random_bytes(KEY_BYTES),
        seal=seal_to,
        time_ms=TimeMs(time.time_ns() // 1_000_000),
    )
    genesis = parse_genesis_file(file)
    check_authorities(genesis)
    write_new(out, file, mode=PUBLIC_MODE)
    _show_genesis(
        Output(as_json=as_json),
        f"Genesis of {genesis.origin} written",
        genesis,
        file=out,
        next_step="each member runs `caretree member sign`, then compare the hash by telephone",
    )


def policy(
    *,
    genesis: Annotated[Path, typer.Option(help="The founded genesis, with all signatures.")],
    expected_hash: Annotated[
        str, typer.Option("--hash", help="Its hash, from somebody you trust.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Where to put the policy; else it is printed.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the tlog-policy by which receipts are verified."""
    founded = check_founded(_read(genesis), expected_hash=read_hash(expected_hash))
    text, output = policy_text(founded), Output(as_json=as_json)
    if out is not None:
        write_new(out, text.encode(), mode=PUBLIC_MODE)
    elif not as_json:
        output.raw(text.encode())
        return
    output.fields(
        f"Policy of {founded.origin}",
        [
            ("File", str(out)),
            ("Signers", str(len(founded.signers))),
            ("Quorum", str(founded.certification_quorum)),
        ],
        data={
            "origin": founded.origin,
            "policy": text,
            "file": None if out is None else str(out),
            "quorum": founded.certification_quorum,
        },
    )


def _show_genesis(
    output: Output, title: str, genesis: Genesis, *, file: Path, next_step: str
) -> None:
    members = [f"{member.member} ({member.display_name})" for member in genesis.members]
    output.fields(
        title,
        [
            ("File", str(file)),
            ("Hash", grouped(genesis.hash)),
            ("Members", ", ".join(members)),
            ("Identifier systems", ", ".join(genesis.identifier_systems)),
            ("Signatures needed", f"{genesis.certification_quorum} of {len(genesis.signers)}"),
            ("Next", next_step),
        ],
        data={
            "origin": genesis.origin,
            "genesis": str(file),
            "hash": genesis.hash.hex(),
            "members": [str(member.member) for member in genesis.members],
            "quorum": genesis.certification_quorum,
        },
    )


def _read(path: Path) -> bytes:
    return read_named(path, bytes_max=ARMOUR_BYTES_MAX)
