"""That a receipt is not only good, but that of the entry which the peer says it is."""

from caretree.client.errors import AnswerError, ReceiptError
from caretree.client.messages import read_position, read_status
from caretree.client.trust import Trust
from caretree.client.values import Entry, EntryStatus
from caretree.ledger.receipts import VerifiedReceipt
from caretree.ledger.values import Grant, Position, Record, Revoke
from caretree.model.ids import GrantId, RecordId, RequestId
from caretree.proto.api.v1 import records_pb2


def verified_entry(
    trust: Trust, *, position: records_pb2.EntryPosition, status: int, receipt: bytes
) -> Entry:
    """Where an entry stands, its receipt verified and found to be of that place.

    Raises:
        ReceiptError: it does not verify, is of another place, or is missing.
        AnswerError: the answer is malformed.
    """
    place, reached = read_position(position), read_status(status)
    if reached is EntryStatus.COMMITTED:
        if receipt:
            raise AnswerError("expected no receipt of what is not certified yet")
        return Entry(position=place, status=reached, receipt=None, receipt_file=b"")
    verified = verified_receipt(trust, receipt, place)
    return Entry(position=place, status=reached, receipt=verified, receipt_file=receipt)


def verified_receipt(trust: Trust, file: bytes, position: Position) -> VerifiedReceipt:
    """What the receipt of the entry at this position proves.

    Raises:
        ReceiptError: it does not verify, or is of another place.
    """
    receipt = trust.receipt(file)
    if (receipt.leaf_index, receipt.seal.height) != (position.leaf_index, position.height):
        raise ReceiptError(
            f"the receipt is of leaf {receipt.leaf_index} in block {receipt.seal.height}, not of"
            f" leaf {position.leaf_index} in block {position.height}"
        )
    return receipt


def check_record(
    receipt: VerifiedReceipt,
    *,
    record_id: RecordId,
    request_id: RequestId | None,
    media_type: str,
    maybe_erased: bool,
) -> None:
    """Return when the receipt is of this record; one added long ago may have been erased since.

    Raises:
        ReceiptError: it is of another entry.
    """
    if maybe_erased and receipt.body is None and receipt.genesis is None:
        return
    record = receipt.record
    fits = (
        record is not None
        and receipt.body is not None
        and record.record_id == record_id
        and record.media_type == media_type
        and request_id in {None, receipt.body.request_id}
    )
    if not fits:
        raise ReceiptError("the receipt is not that of the record that was added")


def check_grant(
    receipt: VerifiedReceipt,
    kind: type[Grant] | type[Revoke],
    *,
    grant_id: GrantId,
    grantee: str | None = None,
) -> None:
    """Return when the receipt is of this grant or revocation.

    Raises:
        ReceiptError: it is of another entry.
    """
    happening = None if receipt.body is None else receipt.body.happening
    fits = (
        isinstance(happening, kind)
        and happening.grant_id == grant_id
        and (grantee is None or not isinstance(happening, Grant) or happening.grantee == grantee)
    )
    if not fits:
        raise ReceiptError("the receipt is not that of the grant")


def check_asked_for(
    receipt: VerifiedReceipt,
    *,
    record_id: RecordId | None,
    request_id: RequestId | None,
    leaf_index: int | None,
) -> None:
    """Return when the receipt is the one that was asked for; an erased body cannot say.

    Raises:
        ReceiptError: it is of another entry.
    """
    if leaf_index is not None and receipt.leaf_index != leaf_index:
        raise ReceiptError(f"the receipt is of leaf {receipt.leaf_index}, not of {leaf_index}")
    if receipt.body is None and receipt.genesis is None:
        return
    happening = None if receipt.body is None else receipt.body.happening
    found = happening.record_id if isinstance(happening, Record) else None
    if record_id is not None and found != record_id:
        raise ReceiptError("the receipt is not that of the record asked for")
    asked = None if receipt.body is None else receipt.body.request_id
    if request_id is not None and asked != request_id:
        raise ReceiptError("the receipt is not that of the request asked for")
