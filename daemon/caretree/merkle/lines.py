"""Signature lines of a note: who signed, and what was signed and checked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from caretree.merkle.keys import (
    KEY_ID_BYTES,
    SignatureType,
    VerifierKey,
    check_key_name,
)
from caretree.merkle.text import decode_base64, encode_base64
from caretree.model.errors import MalformedError

SIGNATURE_BYTES = 64  # of Ed25519
_DASH = "\u2014 "

# Signs with a key that the caller holds.
Sign = Callable[[bytes], bytes]


class SignatureCheck(Protocol):
    """Checks one Ed25519 signature."""

    def __call__(self, public_key: bytes, message: bytes, signature: bytes, /) -> None:
        """Return when the signature is good.

        Raises:
            VerificationError: it is not.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureLine:
    """One line: the key's name and id, and the bytes behind the id, whatever they say."""

    name: str
    key_id: bytes
    signature: bytes


def format_line(line: SignatureLine) -> str:
    """The line as it stands in a note, its newline included."""
    return f"{_DASH}{line.name} {encode_base64(line.key_id + line.signature)}\n"


def parse_line(text: str) -> SignatureLine:
    """The line behind this text, which comes without its newline.

    Raises:
        MalformedError: no dash, no usable name, or no canonical base64 of more than a key id.
    """
    if not text.startswith(_DASH):
        raise MalformedError("signature line", "expected an em dash and a space at its start")
    name, separator, encoded = text.removeprefix(_DASH).partition(" ")
    if not separator:
        raise MalformedError("signature line", "expected a key name, a space and base64")
    check_key_name(name)
    content = decode_base64(encoded, field="signature line")
    if len(content) <= KEY_ID_BYTES:
        raise MalformedError("signature line", "expected a signature behind the key id")
    return SignatureLine(name=name, key_id=content[:KEY_ID_BYTES], signature=content[KEY_ID_BYTES:])


def sign_note_line(text: bytes, *, name: str, public_key: bytes, sign: Sign) -> SignatureLine:
    """The 0x01 line of this key over the note text (c2sp.org/signed-note)."""
    key = VerifierKey(name=name, signature_type=SignatureType.NOTE, public_key=public_key)
    signature = sign(text)
    assert len(signature) == SIGNATURE_BYTES
    return SignatureLine(name=name, key_id=key.key_id, signature=signature)
