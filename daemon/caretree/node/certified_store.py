"""The newest certified checkpoint, kept so that receipts can be had right after a start."""

from typing import Final

from caretree.ledger.certificate import Certification, verify_certified
from caretree.ledger.values import Head
from caretree.model.errors import RejectedError
from caretree.model.ids import TimeMs
from caretree.node.certifier import Certified
from caretree.storage.errors import StorageLostError
from caretree.storage.keys import Table
from caretree.storage.ports import Batch, KeyValue

_KEY: Final = b"newest"
_TIME_BYTES: Final = 8


def save_certified(store: KeyValue, certified: Certified) -> None:
    """Keep a certified checkpoint. Losing it loses nothing: the next one takes its place."""
    batch = Batch()
    since = certified.since_ms.to_bytes(_TIME_BYTES, "big")
    batch.put(Table.SIGNED, _KEY, since + certified.note)
    store.write(batch, sync=False)


def load_certified(store: KeyValue, rule: Certification, head: Head) -> Certified | None:
    """The checkpoint kept, when it is one of the tree that is applied here.

    Raises:
        StorageLostError: it is not what was kept.
    """
    value = store.get(Table.SIGNED, _KEY)
    if value is None:
        return None
    try:
        checkpoint = verify_certified(value[_TIME_BYTES:], rule).checkpoint
    except RejectedError as error:
        raise StorageLostError("the certified checkpoint kept here does not verify") from error
    if checkpoint.size > head.tree_size:
        return None  # a power cut took the last blocks; they come again, and so does this
    return Certified(
        size=checkpoint.size,
        root=checkpoint.root,
        note=value[_TIME_BYTES:],
        since_ms=TimeMs(int.from_bytes(value[:_TIME_BYTES], "big")),
    )
