"""`caretree receipt`, `status` and `transfer-leadership`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from caretree.cli.acting import ClientFile, read_id
from caretree.cli.errors import CommandError
from caretree.cli.files import refuse_existing, write_new
from caretree.cli.options import Json
from caretree.cli.output import Output
from caretree.cli.session import call
from caretree.cli.verifying import verified_as_json
from caretree.client.values import PeerState, Status
from caretree.ledger.receipt_text import describe, utc_text
from caretree.model.ids import LeafIndex, RecordId, RequestId, TimeMs

RECEIPT_MODE: Final = 0o600


def receipt(
    *,
    record: Annotated[str | None, typer.Argument(help="The record's id.")] = None,
    request_id: Annotated[
        str | None, typer.Option("--request", help="Instead: the id of any request.")
    ] = None,
    leaf: Annotated[
        int | None, typer.Option(min=0, help="Instead: the leaf index of any entry.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where to put the receipt.")],
    client: ClientFile,
    as_json: Json = False,
) -> None:
    """Fetch a receipt and verify it."""
    if sum(named is not None for named in (record, request_id, leaf)) != 1:
        raise CommandError(
            "exactly one entry has to be named", next_step="Give a record id, --request or --leaf."
        )
    refuse_existing(out)
    record_id = None if record is None else RecordId(read_id(record, what="record"))
    request = None if request_id is None else RequestId(read_id(request_id, what="request"))
    at = None if leaf is None else LeafIndex(leaf)
    fetched = call(
        client,
        lambda peer: peer.receipt(record_id=record_id, request_id=request, leaf_index=at),
    )
    write_new(out, fetched.file, mode=RECEIPT_MODE)
    Output(as_json=as_json).fields(
        f"VERIFIED {out}",
        describe(fetched.receipt),
        data={
            **verified_as_json(fetched.receipt),
            "receipt": str(out),
            "checkpoint_age_ms": fetched.age_ms,
        },
    )


def status(*, client: ClientFile, as_json: Json = False) -> None:
    """Show how the peer and the consortium are doing."""
    found = call(client, lambda peer: peer.status())
    output = Output(as_json=as_json)
    output.fields(
        f"Peer {found.peer} of {found.member}",
        _status_rows(found),
        data={
            **{name: value for name, value in asdict(found).items() if name != "peers"},
            "peers": [asdict(peer) for peer in found.peers],
        },
    )
    output.table(
        "Peers",
        ("Peer", "Member", "Name", "Part", "Heard from", "Signed size"),
        [_peer_row(peer, own=found.peer) for peer in found.peers],
        data=None,
    )


def transfer_leadership(
    *,
    client: ClientFile,
    to: Annotated[str, typer.Option("--to", help="A peer, 16 hex digits, or a member.")] = "",
    as_json: Json = False,
) -> None:
    """Hand leadership to another voter."""
    leader = call(client, lambda peer: peer.transfer_leadership(to))
    Output(as_json=as_json).fields(
        f"{leader} leads now", [("Leader", leader)], data={"leader": leader}
    )


def _status_rows(found: Status) -> list[tuple[str, str]]:
    return [
        ("Consortium", found.origin),
        ("Role", found.raft_role),
        ("Leader", found.leader or "none known"),
        ("Blocks", f"{found.height}, the newest of {utc_text(TimeMs(found.block_time_ms))}"),
        ("Tree size", f"{found.tree_size}, certified up to {found.certified_size}"),
        ("Certified", f"{found.certified_age_ms / 1000:.1f} s ago"),
        ("Quorum", f"{found.certification_quorum} members"),
        ("Term", str(found.term)),
        ("Log", f"committed {found.commit_index}, applied {found.applied_index}"),
        ("Version", found.version),
    ]


def _peer_row(peer: PeerState, *, own: str) -> tuple[str, ...]:
    part = "leader" if peer.leader else "voter" if peer.voter else "witness or observer"
    heard = "this peer" if peer.peer == own else "yes" if peer.reachable else "no"
    return peer.peer, peer.member, peer.display_name, part, heard, str(peer.signed_size)
