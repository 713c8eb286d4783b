"""`caretree member init`, `sign` and `import`: a founder's own steps of the founding."""

from pathlib import Path
from typing import Annotated, Final

import typer

from caretree.cli.asking import ask_person
from caretree.cli.certificates import check_authorities
from caretree.cli.errors import CommandError
from caretree.cli.files import PUBLIC_MODE, read_named, refuse_existing, write_new
from caretree.cli.home import OPEN_MODE, Home, peer_keys_of, read_hash
from caretree.cli.new_member import NO_HTTP, NewMember, check_listening, make_kit, make_member
from caretree.cli.options import Directory, Json
from caretree.cli.output import Output, grouped
from caretree.cli.templates import write_config
from caretree.cli.unsealing import Unsealing, with_pseudonym_key
from caretree.config.parse import load_config
from caretree.crypto.custody import SystemRandom
from caretree.crypto.keystore import Keystore
from caretree.ledger.armour import ARMOUR_BYTES_MAX, Armour
from caretree.ledger.ceremony import check_founded, combine, parse_genesis_file, sign_genesis
from caretree.ledger.certificate import policy_text
from caretree.ledger.genesis import Genesis
from caretree.ledger.invitations import CeremonyError
from caretree.model.ids import show_peer_id
from caretree.node.founding import create_data_directory
from caretree.storage.files import write_file, write_secret_file
from caretree.storage.row_cipher import RowCipher

CLIENT_LISTEN: Final = "127.0.0.1:7401"
HTTP_LISTEN: Final = "127.0.0.1:7403"


def init(
    *,
    invitation: Annotated[Path, typer.Argument(help="The invitation.")],
    member: Annotated[str, typer.Option(help="This member's id, as invited.")],
    display_name: Annotated[str, typer.Option(help="This member's name for people.")],
    directory: Annotated[Path, typer.Option(help="A new directory for all that is made.")],
    address: Annotated[str, typer.Option(help="Where other members reach this peer, host:port.")],
    client_listen: Annotated[
        str, typer.Option(help="Where to listen for this member's own clients, host:port.")
    ] = CLIENT_LISTEN,
    peer_listen: Annotated[
        str | None,
        typer.Option(help="Where to listen for other peers; else any address at --address's port."),
    ] = None,
    http_listen: Annotated[
        str, typer.Option(help=f"Where to serve metrics and health, host:port, or {NO_HTTP}.")
    ] = HTTP_LISTEN,
    no_kit: Annotated[
        bool, typer.Option("--no-kit", help="Make no recovery kit: keys lost here are lost.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a member's keys, certificates and configuration, and its join request."""
    home = Home(path=directory)
    listening = check_listening(address, client=client_listen, peer=peer_listen, http=http_listen)
    invited = read_named(invitation, bytes_max=ARMOUR_BYTES_MAX)
    if home.path.exists():
        home.make()  # refuses now what it would refuse after a code was typed
    made = make_member(
        invited, member=member, display_name=display_name, address=address, listening=listening
    )
    kit = None if no_kit else make_kit(made, ask_person)
    _write(home, made, invited, kit)
    peer = show_peer_id(peer_keys_of(made.keystore).peer_id())
    Output(as_json=as_json).fields(
        f"{member} is ready to join {made.keystore.consortium}",
        [
            ("Directory", str(home.path)),
            ("Peer", peer),
            ("Reached at", address),
            ("Join request", str(home.join_request)),
            ("Recovery kit", "none" if kit is None else f"{home.recovery_kit}; keep a copy apart"),
            ("Next", "give the join request to who runs `caretree consortium found`"),
        ],
        data={
            "member": member,
            "peer": peer,
            "directory": str(home.path),
            "join_request": str(home.join_request),
            "recovery_kit": None if kit is None else str(home.recovery_kit),
        },
    )


def sign(
    *,
    genesis: Annotated[Path, typer.Argument(help="The genesis to sign.")],
    directory: Directory,
    out: Annotated[Path, typer.Option(help="Where to put the signature.")],
    as_json: Json = False,
) -> None:
    """Sign a genesis that says exactly what this member was invited to and asked for."""
    refuse_existing(out)
    home = Home(path=directory)
    keystore = home.read_keystore()
    file = _read(genesis)
    signed = parse_genesis_file(file)
    check_authorities(signed)
    signature = sign_genesis(
        file,
        invitation=_read(home.invitation),
        request=_read(home.join_request),
        unseal=Unsealing(key=keystore.sealing_key),
        sign=keystore.member_key.sign,
    )
    write_new(out, signature, mode=PUBLIC_MODE)
    Output(as_json=as_json).fields(
        f"{keystore.member} signed the genesis of {signed.origin}",
        [
            ("Signature", str(out)),
            ("Hash", grouped(signed.hash)),
            ("Next", "compare this hash with the other members, then `caretree member import`"),
        ],
        data={
            "member": str(keystore.member),
            "origin": signed.origin,
            "hash": signed.hash.hex(),
            "signature": str(out),
        },
    )


def import_genesis(
    *,
    genesis: Annotated[Path, typer.Argument(help="The genesis.")],
    directory: Directory,
    expected_hash: Annotated[
        str, typer.Option("--hash", help="Its hash, as the members compared it.")
    ],
    signature: Annotated[
        list[Path] | None,
        typer.Argument(help="Every founder's signature; none for a file that holds them."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Begin this member's data directory with a genesis that every founder signed."""
    home = Home(path=directory)
    if home.genesis.exists():
        raise CommandError(
            f"{home.path} has imported a genesis already, and a data directory begins only once",
            next_step="A peer that lost its data directory needs new keys, from `member init`.",
        )
    keystore, expected = home.read_keystore(), read_hash(expected_hash)
    founded = _founded(_read(genesis), [_read(path) for path in signature or ()])
    rules = check_founded(founded, expected_hash=expected)
    check_authorities(rules)
    _check_own(rules, keystore)
    keystore = with_pseudonym_key(rules, keystore)
    data = load_config(home.config).peer.data_directory
    home.write_keystore(keystore)
    write_file(home.policy, policy_text(rules).encode(), mode=OPEN_MODE)
    create_data_directory(
        data, genesis=rules, cipher=RowCipher(keystore.storage_key, random=SystemRandom())
    )
    home.write_founded(founded, expected)  # last: it says that all of this was done
    Output(as_json=as_json).fields(
        f"{keystore.member} is a founder of {rules.origin}",
        [
            ("Data directory", str(data)),
            ("Policy", str(home.policy)),
            ("Signed by", ", ".join(member.member for member in rules.members)),
            ("Next", f"`caretree member principal`, then `caretree serve --config {home.config}`"),
        ],
        data={
            "member": str(keystore.member),
            "origin": rules.origin,
            "data_directory": str(data),
            "policy": str(home.policy),
            "config": str(home.config),
        },
    )


def _write(home: Home, made: NewMember, invitation: bytes, kit: str | None) -> None:
    home.make()
    home.write_keystore(made.keystore)
    write_secret_file(home.ca_key, made.authority.key_pem())
    write_file(home.ca_certificate, made.authority.certificate_pem(), mode=OPEN_MODE)
    write_secret_file(home.peer_key, made.peer.key_pem)
    write_file(home.peer_certificate, made.peer.certificate_pem, mode=OPEN_MODE)
    write_file(home.invitation, invitation, mode=OPEN_MODE)
    if kit is not None:
        write_secret_file(home.recovery_kit, kit.encode())
    write_config(home.config, made.config)
    write_file(home.join_request, made.join_request, mode=OPEN_MODE)


def _founded(genesis: bytes, signatures: list[bytes]) -> bytes:
    """The founded genesis: as it came, when it holds its signatures, or put together here."""
    if not signatures and genesis.startswith(Armour.FOUNDED_GENESIS.value.encode()):
        return genesis
    return combine(genesis, signatures=signatures)


def _check_own(genesis: Genesis, keystore: Keystore) -> None:
    peer = genesis.peer(peer_keys_of(keystore).peer_id())
    member = genesis.member(keystore.member)
    own = member is not None and member.member_key == keystore.member_key.public_key
    if genesis.consortium != keystore.consortium or not own or peer is None:
        raise CeremonyError(f"the genesis does not name the keys of {keystore.member} here")


def _read(path: Path) -> bytes:
    return read_named(path, bytes_max=ARMOUR_BYTES_MAX)
