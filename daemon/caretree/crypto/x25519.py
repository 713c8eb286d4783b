"""The sealing key of a member: an X25519 key pair to which others seal keys (custody.seal_to)."""

from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from caretree.crypto.suite import check_key

SEALING_PUBLIC_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingKey:
    """An X25519 private key, never shown. Two are equal when their public keys are."""

    public_key: bytes
    private_key: bytes = field(repr=False, compare=False)

    @classmethod
    def from_private(cls, private_key: bytes) -> Self:
        """The key pair of these 32 private bytes (RFC 7748 5).

        Raises:
            MalformedError: there are not 32 of them.
        """
        key = X25519PrivateKey.from_private_bytes(check_key(private_key, field="sealing key"))
        return cls(public_key=key.public_key().public_bytes_raw(), private_key=private_key)
