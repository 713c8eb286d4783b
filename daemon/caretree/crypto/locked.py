"""A locked box: what the keystore file and the recovery kit have in common.

    version u8 (1) || suite u8 (1) || lock u8 || [scrypt cost 19, when lock is 2] || nonce 12
    || AES-256-GCM ciphertext || tag 16

The lock is 1 for a raw 32-byte key and 2 for a passphrase (see passphrase). The additional data is
length-prefixed (label of the kind of box, every byte before the ciphertext, context), so that a box
opens only as what it is.
"""

from dataclasses import dataclass, field
from typing import Final, assert_never

from caretree.crypto.aead import NONCE_BYTES, TAG_BYTES, OpeningError, aes_gcm_open, aes_gcm_seal
from caretree.crypto.framing import length_prefixed
from caretree.crypto.passphrase import COST_BYTES, LOG2_N, SALT_BYTES, Cost, stretch
from caretree.crypto.random_source import RandomSource
from caretree.crypto.suite import FORMAT_VERSION, SUITE_1, check_key, check_suite, check_version
from caretree.model.errors import MalformedError
from caretree.model.limits import KIB

BOX_BYTES_MAX: Final = 64 * KIB

_LOCK_RAW: Final = 1
_LOCK_PASSPHRASE: Final = 2
_FIXED_BYTES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RawKey:
    """A 32-byte key out of a root-only file or a systemd credential."""

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_key(self.key, field="keystore key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passphrase:
    """What a person types."""

    text: str = field(repr=False)


BoxKey = RawKey | Passphrase


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxKind:
    """What a box is: its label, its name in errors, and what to do when it does not open."""

    label: bytes
    name: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parsed:
    header: bytes
    cost: Cost | None
    nonce: bytes
    ciphertext: bytes


def lock(
    kind: BoxKind, *, key: BoxKey, context: bytes, plaintext: bytes, random: RandomSource
) -> bytes:
    """The box of `plaintext`. A passphrase is stretched anew, with a fresh salt.

    Raises:
        MalformedError: the passphrase is empty or no text.
    """
    lock_bytes, box_key = _new_lock(key, random)
    nonce = random.random_bytes(NONCE_BYTES)
    header = bytes((FORMAT_VERSION, SUITE_1)) + lock_bytes + nonce
    aad = length_prefixed(kind.label, header, context)
    box = header + aes_gcm_seal(key=box_key, nonce=nonce, aad=aad, plaintext=plaintext)
    assert len(box) <= BOX_BYTES_MAX, "what is locked is bounded field by field"
    return box


def unlock(kind: BoxKind, *, key: BoxKey, context: bytes, box: bytes) -> bytes:
    """The plaintext of a box.

    Raises:
        MalformedError: the box is cut, too long, newer than this Caretree or of another suite.
        OpeningError: the key is wrong or of the other sort, or a byte was changed; says what to do.
    """
    parsed = _parse(kind, box)
    box_key = _box_key(kind, key, parsed.cost)
    aad = length_prefixed(kind.label, parsed.header, context)
    try:
        return aes_gcm_open(
            key=box_key, nonce=parsed.nonce, aad=aad, ciphertext=parsed.ciphertext, field=kind.name
        )
    except OpeningError:
        message = f"{kind.name}: wrong key or damaged; {kind.advice}"
        raise OpeningError(message) from None


def _new_lock(key: BoxKey, random: RandomSource) -> tuple[bytes, bytes]:
    match key:
        case RawKey():
            return bytes((_LOCK_RAW,)), key.key
        case Passphrase():
            cost = Cost(log2_n=LOG2_N, salt=random.random_bytes(SALT_BYTES))
            return bytes((_LOCK_PASSPHRASE,)) + cost.encode(), stretch(key.text, cost)
        case _:
            assert_never(key)


def _parse(kind: BoxKind, box: bytes) -> _Parsed:
    if not _FIXED_BYTES <= len(box) <= BOX_BYTES_MAX:
        expected = f"expected {_FIXED_BYTES} to {BOX_BYTES_MAX} bytes, found {len(box)}"
        raise MalformedError(kind.name, expected)
    check_version(box[0], field=kind.name)
    check_suite(box[1], field=kind.name)
    cost, nonce_at = _parse_lock(kind, box)
    ciphertext_at = nonce_at + NONCE_BYTES
    if len(box) < ciphertext_at + TAG_BYTES:
        raise MalformedError(kind.name, f"expected a whole file, found it cut; {kind.advice}")
    return _Parsed(
        header=box[:ciphertext_at],
        cost=cost,
        nonce=box[nonce_at:ciphertext_at],
        ciphertext=box[ciphertext_at:],
    )


def _parse_lock(kind: BoxKind, box: bytes) -> tuple[Cost | None, int]:
    if box[2] == _LOCK_RAW:
        return None, _FIXED_BYTES
    if box[2] != _LOCK_PASSPHRASE:
        expected = f"expected lock 1 (key) or 2 (passphrase), found {box[2]}"
        raise MalformedError(kind.name, expected)
    end = _FIXED_BYTES + COST_BYTES
    return Cost.decode(box[_FIXED_BYTES:end], field=kind.name), end


def _box_key(kind: BoxKind, key: BoxKey, cost: Cost | None) -> bytes:
    match key:
        case RawKey():
            if cost is not None:
                raise OpeningError(
                    f"{kind.name}: locked with a passphrase; give it instead of a key"
                )
            return key.key
        case Passphrase():
            if cost is None:
                raise OpeningError(
                    f"{kind.name}: locked with a key file; give it, not a passphrase"
                )
            return stretch(key.text, cost)
        case _:
            assert_never(key)
