"""A custodian's keys for one patient, epoch after epoch: named, chained and sealed.

    key id      = SHA-256 of length-prefixed LABEL_KEY_ID, epoch key
    chained key = envelope (see aead) of the previous epoch key under the new one,
                  AAD = length-prefixed LABEL_KEYRING_CHAIN, origin, custodian, pseudonym,
                  new key id, previous key id
    sealed key  = custody.seal_to with
                  info = length-prefixed LABEL_KEYRING_SEAL, origin, custodian, pseudonym,
                  key id, recipient member

So whoever holds the newest epoch key opens, link by link, all that went before it, and nothing that
comes after.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from caretree.crypto.aead import ENVELOPE_EXTRA_BYTES, OpeningError, open_envelope, seal_envelope
from caretree.crypto.framing import (
    LABEL_KEY_ID,
    LABEL_KEYRING_CHAIN,
    LABEL_KEYRING_SEAL,
    length_prefixed,
)
from caretree.crypto.suite import KEY_BYTES, check_key
from caretree.model.errors import MalformedError
from caretree.model.ids import KeyId, MemberId, Origin, Pseudonym

WRAPS_MAX: Final = (
    2**32
)  # envelopes under one epoch key, with random 96-bit nonces (SP 800-38D 8.3)
CHAINED_KEY_BYTES: Final = ENVELOPE_EXTRA_BYTES + KEY_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyringContext:
    """The one keyring that its keys belong to: a custodian's for one patient."""

    origin: Origin
    custodian: MemberId
    pseudonym: Pseudonym

    def parts(self) -> tuple[bytes, bytes, bytes]:
        """Origin and custodian in UTF-8, and the pseudonym."""
        return self.origin.encode(), self.custodian.encode(), self.pseudonym


def key_id(epoch_key: bytes) -> KeyId:
    """The name of an epoch key, which tells nothing about it.

    Raises:
        MalformedError: the key has not 32 bytes.
    """
    framed = length_prefixed(LABEL_KEY_ID, check_key(epoch_key, field="epoch key"))
    return KeyId(hashlib.sha256(framed).digest())


def check_key_id(epoch_key: bytes, expected: KeyId) -> None:
    """Return when `expected` names the epoch key.

    Raises:
        OpeningError: it names another.
        MalformedError: the key has not 32 bytes.
    """
    if not hmac.compare_digest(key_id(epoch_key), expected):
        raise OpeningError("epoch key: is not the one that its key id names")


def chain_previous(
    *, new_key: bytes, previous_key: bytes, nonce: bytes, context: KeyringContext
) -> bytes:
    """The previous epoch key sealed under the new one, 62 bytes.

    Raises:
        MalformedError: a key or the nonce has a wrong length.
    """
    aad = _chain_aad(context, new_id=key_id(new_key), previous_id=key_id(previous_key))
    return seal_envelope(key=new_key, nonce=nonce, aad=aad, plaintext=previous_key)


def open_previous(
    *, new_key: bytes, previous_key_id: KeyId, chained: bytes, context: KeyringContext
) -> bytes:
    """The previous epoch key out of what `chain_previous` made, checked against its key id.

    Raises:
        MalformedError: it has a wrong length, version or suite.
        OpeningError: it was not chained under this key in this keyring, or the id names another.
    """
    if len(chained) != CHAINED_KEY_BYTES:
        raise MalformedError("chained key", f"expected {CHAINED_KEY_BYTES} bytes")
    aad = _chain_aad(context, new_id=key_id(new_key), previous_id=previous_key_id)
    previous_key = open_envelope(key=new_key, aad=aad, envelope=chained, field="chained key")
    check_key_id(previous_key, previous_key_id)
    return previous_key


def keyring_seal_info(
    context: KeyringContext, *, epoch_key_id: KeyId, recipient: MemberId
) -> bytes:
    """The HPKE info under which an epoch key is sealed to a member, and for nothing else."""
    return length_prefixed(LABEL_KEYRING_SEAL, *context.parts(), epoch_key_id, recipient.encode())


def _chain_aad(context: KeyringContext, *, new_id: KeyId, previous_id: KeyId) -> bytes:
    return length_prefixed(LABEL_KEYRING_CHAIN, *context.parts(), new_id, previous_id)
