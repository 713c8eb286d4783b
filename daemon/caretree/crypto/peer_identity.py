"""A peer's id, derived from its public keys: new keys make a new peer, no id is used twice."""

import hashlib

from caretree.crypto.framing import LABEL_PEER_ID, length_prefixed
from caretree.crypto.suite import check_key
from caretree.model.errors import MalformedError
from caretree.model.ids import PeerId


def derive_peer_id(*, batch_key: bytes, log_key: bytes, cosigner_key: bytes) -> PeerId:
    """The id of the peer with these three public keys.

    The first 8 bytes, big-endian, of SHA-256 of length-prefixed LABEL_PEER_ID and the public keys
    that sign batches, the log and co-signatures (32 bytes each).

    Raises:
        MalformedError: a key has another length, or the id would be 0, which stands for "no peer".
    """
    keys = [check_key(key, field="peer keys") for key in (batch_key, log_key, cosigner_key)]
    digest = hashlib.sha256(length_prefixed(LABEL_PEER_ID, *keys)).digest()
    return _nonzero(int.from_bytes(digest[:8], "big"))


def _nonzero(number: int) -> PeerId:
    if number == 0:
        raise MalformedError("peer keys", "give peer id 0, which is reserved; make new keys")
    return PeerId(number)
