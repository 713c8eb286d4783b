"""Verifier keys of signed notes: a name, a signature type and a public key, and their text."""

import re
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256

from typing_extensions import override

from caretree.merkle.text import decode_base64, encode_base64
from caretree.model.errors import MalformedError

KEY_ID_BYTES = 4
PUBLIC_KEY_BYTES = 32

# A space of any kind, a plus, a control character or half a surrogate. One search of the compiled
# pattern, because names are checked on every line of every note.
_UNUSABLE = re.compile(r"[\s+\x00-\x1f\ud800-\udfff]")
_VKEY = re.compile(r"(?P<name>[^+]+)\+(?P<key_id>[0-9a-f]{8})\+(?P<key>[A-Za-z0-9+/=]+)")


class SignatureType(Enum):
    """What a key signs: the note text, or a timed cosignature over it (c2sp.org/signed-note)."""

    NOTE = 0x01
    COSIGNATURE = 0x04


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """An Ed25519 key that is trusted under a name for one signature type.

    Its key id follows from these three.

    Raises:
        MalformedError: the name cannot stand in a signature line, or the key is not 32 bytes.
    """

    name: str
    signature_type: SignatureType
    public_key: bytes
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if len(self.public_key) != PUBLIC_KEY_BYTES:
            raise MalformedError(
                "public key", f"expected {PUBLIC_KEY_BYTES} bytes, found {len(self.public_key)}"
            )
        hashed = self.name.encode("utf-8") + b"\n" + _marked(self)
        object.__setattr__(self, "key_id", sha256(hashed).digest()[:KEY_ID_BYTES])

    @override
    def __hash__(self) -> int:
        """Of the key alone: keys are looked up for each line, and an Enum's hash is slow."""
        return hash(self.public_key)


def check_key_name(name: str) -> None:
    """Return when the name may stand in a signature line.

    Raises:
        MalformedError: it is empty, or holds a space of any kind, a plus, a control character or
            half a surrogate.
    """
    if not name or _UNUSABLE.search(name) is not None:
        raise MalformedError("key name", "expected neither spaces nor plus nor control characters")


def format_vkey(key: VerifierKey) -> str:
    """The key's text: name, hex key id, and base64 of type and public key, joined by plus."""
    return f"{key.name}+{key.key_id.hex()}+{encode_base64(_marked(key))}"


def parse_vkey(text: str) -> VerifierKey:
    """The key of such a text.

    Raises:
        MalformedError: another form, a type that is not Ed25519, or a key id that is not the key's
            own.
    """
    match = _VKEY.fullmatch(text)
    if match is None:
        raise MalformedError("vkey", "expected name+8 hex digits+base64")
    marked = decode_base64(match["key"], field="vkey")
    try:
        signature_type = SignatureType(marked[0])
    except ValueError as error:
        raise MalformedError("vkey", "expected an Ed25519 key of type 0x01 or 0x04") from error
    key = VerifierKey(name=match["name"], signature_type=signature_type, public_key=marked[1:])
    if key.key_id.hex() != match["key_id"]:
        raise MalformedError("vkey", f"expected the key id {key.key_id.hex()}")
    return key


def _marked(key: VerifierKey) -> bytes:
    """The public key behind its type byte, as it is hashed and written."""
    return bytes((key.signature_type.value,)) + key.public_key
