"""The keystore: every secret of a member's peer, as the bytes of one locked file.

The file is a locked box (see locked) with LABEL_KEYSTORE and no context; inside stand fields (see
fields):

    1 consortium's name     UTF-8
    2 member id             UTF-8
    3 member key's seed     32 bytes
    4 sealing key, private  32 bytes
    5 member secret         32 bytes
    6 storage key           32 bytes
    7 pseudonym keys        for each, epoch u32 || key 32, rising; absent before the founding
    8 peer keys' seeds      batch 32 || log 32 || co-signer 32; absent without a data directory
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from caretree.crypto.ed25519 import SigningKey
from caretree.crypto.fields import decode_fields, encode_fields
from caretree.crypto.framing import LABEL_KEYSTORE, U32_MAX, u32
from caretree.crypto.locked import BoxKey, BoxKind, lock, unlock
from caretree.crypto.peer_identity import derive_peer_id
from caretree.crypto.random_source import RandomSource
from caretree.crypto.suite import KEY_BYTES, check_key
from caretree.crypto.x25519 import SealingKey
from caretree.model.errors import MalformedError
from caretree.model.ids import MemberId, PeerId, parse_consortium_name, parse_member_id

PSEUDONYM_KEYS_MAX: Final = 1024  # one more whenever a member leaves

_NAME: Final = "keystore"
_KIND: Final = BoxKind(
    label=LABEL_KEYSTORE,
    name=_NAME,
    advice="give the key it was made with, or restore the member from its recovery kit",
)
_EPOCH_BYTES: Final = 4
_PSEUDONYM_KEY_BYTES: Final = _EPOCH_BYTES + KEY_BYTES


class _Tag(IntEnum):
    CONSORTIUM = 1
    MEMBER = 2
    MEMBER_KEY = 3
    SEALING_KEY = 4
    MEMBER_SECRET = 5
    STORAGE_KEY = 6
    PSEUDONYM_KEYS = 7
    PEER_KEYS = 8


_REQUIRED: Final = frozenset(_Tag) - {_Tag.PSEUDONYM_KEYS, _Tag.PEER_KEYS}


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudonymKey:
    """The pseudonym key of one pseudonym epoch."""

    epoch: int
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerKeys:
    """The three signing keys of a peer, which live and die with its data directory."""

    batch: SigningKey
    log: SigningKey
    cosigner: SigningKey

    def peer_id(self) -> PeerId:
        """The id that these keys make."""
        return derive_peer_id(
            batch_key=self.batch.public_key,
            log_key=self.log.public_key,
            cosigner_key=self.cosigner.public_key,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Keystore:
    """A member's secrets at one peer; a repr shows names and public keys only."""

    consortium: str
    member: MemberId
    member_key: SigningKey
    sealing_key: SealingKey
    member_secret: bytes = field(repr=False)
    storage_key: bytes = field(repr=False)
    pseudonym_keys: tuple[PseudonymKey, ...]  # rising epochs
    peer_keys: PeerKeys | None

    def __post_init__(self) -> None:
        parse_consortium_name(self.consortium)
        parse_member_id(self.member)
        check_key(self.member_secret, field="member secret")
        check_key(self.storage_key, field="storage key")
        _check_pseudonym_keys(self.pseudonym_keys)


def encode_keystore(keystore: Keystore, *, key: BoxKey, random: RandomSource) -> bytes:
    """The bytes of a keystore file, locked with a raw key or a passphrase.

    Raises:
        MalformedError: the passphrase is empty or no text.
    """
    fields = encode_fields(_fields(keystore))
    return lock(_KIND, key=key, context=b"", plaintext=fields, random=random)


def decode_keystore(encoded: bytes, *, key: BoxKey) -> Keystore:
    """The keystore in the bytes of its file.

    Raises:
        MalformedError: the file is cut, newer than this Caretree, or holds what it should not.
        OpeningError: the key is wrong or of the other sort, or a byte was changed; says what to do.
    """
    plaintext = unlock(_KIND, key=key, context=b"", box=encoded)
    values = decode_fields(plaintext, known=frozenset(_Tag), name=_NAME)
    for tag in sorted(_REQUIRED - values.keys()):
        raise MalformedError(_NAME, f"lacks field {tag}")
    return _from_fields(values)


def _fields(keystore: Keystore) -> dict[int, bytes]:
    fields: dict[int, bytes] = {
        _Tag.CONSORTIUM: keystore.consortium.encode(),
        _Tag.MEMBER: keystore.member.encode(),
        _Tag.MEMBER_KEY: keystore.member_key.seed,
        _Tag.SEALING_KEY: keystore.sealing_key.private_key,
        _Tag.MEMBER_SECRET: keystore.member_secret,
        _Tag.STORAGE_KEY: keystore.storage_key,
    }
    if keystore.pseudonym_keys:
        fields[_Tag.PSEUDONYM_KEYS] = b"".join(
            [u32(item.epoch) + item.key for item in keystore.pseudonym_keys]
        )
    if keystore.peer_keys is not None:
        keys = keystore.peer_keys
        fields[_Tag.PEER_KEYS] = keys.batch.seed + keys.log.seed + keys.cosigner.seed
    return fields


def _from_fields(values: dict[int, bytes]) -> Keystore:
    return Keystore(
        consortium=_text(values[_Tag.CONSORTIUM]),
        member=MemberId(_text(values[_Tag.MEMBER])),
        member_key=SigningKey.from_seed(values[_Tag.MEMBER_KEY]),
        sealing_key=SealingKey.from_private(values[_Tag.SEALING_KEY]),
        member_secret=values[_Tag.MEMBER_SECRET],
        storage_key=values[_Tag.STORAGE_KEY],
        pseudonym_keys=_parse_pseudonym_keys(values.get(_Tag.PSEUDONYM_KEYS)),
        peer_keys=_parse_peer_keys(values.get(_Tag.PEER_KEYS)),
    )


def _text(encoded: bytes) -> str:
    try:
        return encoded.decode()
    except UnicodeDecodeError:
        raise MalformedError(_NAME, "expected names in UTF-8") from None


def _parse_pseudonym_keys(encoded: bytes | None) -> tuple[PseudonymKey, ...]:
    if encoded is None:
        return ()
    if not encoded or len(encoded) % _PSEUDONYM_KEY_BYTES:
        raise MalformedError(_NAME, "expected whole pseudonym keys")
    items = [
        encoded[offset : offset + _PSEUDONYM_KEY_BYTES]
        for offset in range(0, len(encoded), _PSEUDONYM_KEY_BYTES)
    ]
    return tuple(
        PseudonymKey(epoch=int.from_bytes(item[:_EPOCH_BYTES], "big"), key=item[_EPOCH_BYTES:])
        for item in items
    )


def _parse_peer_keys(encoded: bytes | None) -> PeerKeys | None:
    if encoded is None:
        return None
    if len(encoded) != 3 * KEY_BYTES:
        raise MalformedError(_NAME, "expected three peer keys")
    batch, log, cosigner = (
        SigningKey.from_seed(encoded[place * KEY_BYTES : (place + 1) * KEY_BYTES])
        for place in range(3)
    )
    return PeerKeys(batch=batch, log=log, cosigner=cosigner)


def _check_pseudonym_keys(keys: tuple[PseudonymKey, ...]) -> None:
    epochs = [item.epoch for item in keys]
    fit = all(0 <= epoch <= U32_MAX for epoch in epochs) and len(epochs) <= PSEUDONYM_KEYS_MAX
    if not fit or epochs != sorted(set(epochs)):
        expected = f"expected at most {PSEUDONYM_KEYS_MAX} pseudonym keys in rising epochs"
        raise MalformedError(_NAME, expected)
    for item in keys:
        check_key(item.key, field="pseudonym key")
