"""Receipts out of a history, and the same with changes, for whoever tries to be taken in."""

from dataclasses import replace
from typing import Final

from caretree.crypto.ed25519 import verify
from caretree.ledger.certificate import certification_policy
from caretree.ledger.receipts import (
    VerifiedReceipt,
    build_receipt,
    parse_receipt,
    verify_receipt,
)
from caretree.merkle.tlog_proof import format_tlog_proof, parse_tlog_proof
from caretree.proto.ledger.v1 import receipt_pb2
from google.protobuf.message import Message

from tests.ledger.builders import founders
from tests.ledger.samples import History

POLICY: Final = certification_policy(founders().genesis)


def verified(file: bytes) -> VerifiedReceipt:
    """What the receipt proves under the three founders' policy."""
    return verify_receipt(file, POLICY, verify)


def rebuilt(history: History, index: int, **changes: object) -> bytes:
    """The receipt of an entry, parsed and built anew with changes of the fields of Receipt."""
    receipt = parse_receipt(history.receipt(index))
    changed = replace(receipt, **changes)  # type: ignore[arg-type] # the fields of Receipt
    return build_receipt(
        leaf=changed.leaf,
        leaf_index=changed.leaf_index,
        proof=changed.proof,
        author=changed.author,
        salt=changed.salt,
        body=changed.body,
        seal=changed.seal,
        previous_seal=changed.previous_seal,
        note=history.note(),
    )


def respelled(file: bytes, extra: receipt_pb2.ReceiptExtra) -> bytes:
    """The receipt with another extra."""
    proof = replace(parse_tlog_proof(file), extra=extra.SerializeToString())
    return format_tlog_proof(proof)


def extra_of(file: bytes) -> receipt_pb2.ReceiptExtra:
    """The extra of a receipt, to be changed."""
    return receipt_pb2.ReceiptExtra.FromString(parse_tlog_proof(file).extra)


def clear(message: Message, *fields: str) -> None:
    """Leave these fields out of the message."""
    for field in fields:
        message.ClearField(field)
