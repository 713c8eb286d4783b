"""What a genesis holds sealed to a member, opened with the member's own sealing key."""

from dataclasses import dataclass, replace

from caretree.crypto.custody import open_sealed
from caretree.crypto.keystore import Keystore, PseudonymKey
from caretree.crypto.x25519 import SealingKey
from caretree.ledger.ceremony import open_pseudonym_key
from caretree.ledger.genesis import FIRST_PSEUDONYM_EPOCH, Genesis


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsealing:
    """Opens what was sealed to this member (ledger.ceremony.Unseal)."""

    key: SealingKey

    def __call__(self, *, info: bytes, sealed: bytes) -> bytes:
        """See Unseal."""
        return open_sealed(self.key, info=info, sealed=sealed)


def with_pseudonym_key(genesis: Genesis, keystore: Keystore) -> Keystore:
    """The keystore with the pseudonym key that the genesis holds sealed to its member.

    Raises:
        CeremonyError: the genesis does not name the member, or the key does not open.
    """
    unseal = Unsealing(key=keystore.sealing_key)
    key = open_pseudonym_key(genesis, member=keystore.member, unseal=unseal)
    named = PseudonymKey(epoch=FIRST_PSEUDONYM_EPOCH, key=key)
    return replace(keystore, pseudonym_keys=(named,))
