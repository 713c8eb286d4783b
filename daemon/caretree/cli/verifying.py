"""`caretree verify`: whether a receipt holds, in a person's words, with no network."""

from pathlib import Path
from typing import Annotated, Final

import typer

from caretree.cli.errors import CommandError
from caretree.cli.files import read_named
from caretree.cli.options import Json
from caretree.cli.output import JsonValue, Output
from caretree.crypto.ed25519 import verify as check_signature
from caretree.ledger.receipt_text import describe
from caretree.ledger.receipts import VerifiedReceipt, verify_receipt
from caretree.merkle.policy_text import POLICY_BYTES_MAX, parse_policy
from caretree.model.errors import RejectedError

REFUSED_STEP: Final = "Do not rely on it; ask the member that handed it out for the receipt anew."


def verify(
    *,
    receipt: Annotated[Path, typer.Argument(help="The receipt.")],
    policy: Annotated[
        Path, typer.Option(help="Whose signatures it needs; from somebody you trust.")
    ],
    as_json: Json = False,
) -> None:
    """Verify a receipt."""
    rule = parse_policy(read_named(policy, bytes_max=POLICY_BYTES_MAX))
    file, output = read_named(receipt), Output(as_json=as_json)
    try:
        verified = verify_receipt(file, rule, check_signature)
    except RejectedError as error:
        if as_json:
            refusal: dict[str, JsonValue] = {"verified": False, "reason": error.message}
            output.fields("", [], data=refusal)
            raise typer.Exit(1) from error
        raise CommandError(f"REFUSED {receipt}: {error.message}", next_step=REFUSED_STEP) from error
    output.fields(f"VERIFIED {receipt}", describe(verified), data=verified_as_json(verified))


def verified_as_json(verified: VerifiedReceipt) -> dict[str, JsonValue]:
    """What a receipt proves, for a program."""
    record_id, custodian = verified.record_id, verified.custodian
    return {
        "verified": True,
        "origin": verified.origin,
        "kind": None if verified.kind is None else verified.kind.name.lower(),
        "record_id": None if record_id is None else record_id.hex(),
        "custodian": None if custodian is None else str(custodian),
        "leaf_index": verified.leaf_index,
        "tree_size": verified.tree_size,
        "root": verified.root.hex(),
        "height": verified.seal.height,
        "time_ms": verified.seal.time_ms,
        "signers": [
            {"name": cosigner.name, "time_s": cosigner.time_s} for cosigner in verified.cosigners
        ],
    }
