"""Timed cosignatures over a checkpoint, Ed25519, version 1 (c2sp.org/tlog-cosignature).

One says: at this time, this was the largest consistent tree of that origin which I had seen.
"""

from dataclasses import dataclass

from caretree.merkle.keys import SignatureType, VerifierKey
from caretree.merkle.lines import SIGNATURE_BYTES, Sign, SignatureCheck, SignatureLine
from caretree.model.errors import MalformedError

TIME_S_MAX = 2**63 - 1  # the format's own bound
_TIME_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosignature:
    """POSIX seconds and the signature over them and the checkpoint."""

    time_s: int
    signature: bytes


def cosignature_message(text: bytes, *, time_s: int) -> bytes:
    """What is signed: a header that no checkpoint begins with, the time, the whole note text."""
    return b"cosignature/v1\ntime %d\n" % time_s + text


def encode_cosignature(cosignature: Cosignature) -> bytes:
    """The bytes behind the key id of a signature line."""
    assert 0 <= cosignature.time_s <= TIME_S_MAX
    assert len(cosignature.signature) == SIGNATURE_BYTES
    return cosignature.time_s.to_bytes(_TIME_BYTES, "big") + cosignature.signature


def decode_cosignature(content: bytes) -> Cosignature:
    """The inverse of `encode_cosignature`.

    Raises:
        MalformedError: another length, or a time beyond 2^63 - 1.
    """
    if len(content) != _TIME_BYTES + SIGNATURE_BYTES:
        raise MalformedError(
            "cosignature",
            f"expected {_TIME_BYTES + SIGNATURE_BYTES} bytes, found {len(content)}",
        )
    time_s = int.from_bytes(content[:_TIME_BYTES], "big")
    if time_s > TIME_S_MAX:
        raise MalformedError("cosignature", f"expected a time up to {TIME_S_MAX}")
    return Cosignature(time_s=time_s, signature=content[_TIME_BYTES:])


def cosign_line(
    text: bytes, *, name: str, public_key: bytes, time_s: int, sign: Sign
) -> SignatureLine:
    """The 0x04 line of this cosigner over the checkpoint's note text at this time.

    The message does not name the cosigner, so a key must never serve under two names.
    """
    key = VerifierKey(name=name, signature_type=SignatureType.COSIGNATURE, public_key=public_key)
    signature = sign(cosignature_message(text, time_s=time_s))
    content = encode_cosignature(Cosignature(time_s=time_s, signature=signature))
    return SignatureLine(name=name, key_id=key.key_id, signature=content)


def verify_cosignature(
    content: bytes, *, text: bytes, public_key: bytes, check: SignatureCheck
) -> int:
    """The time in POSIX seconds at which this key cosigned the text.

    Raises:
        MalformedError: the bytes are no cosignature.
        VerificationError: the signature is not good.
    """
    cosignature = decode_cosignature(content)
    message = cosignature_message(text, time_s=cosignature.time_s)
    check(public_key, message, cosignature.signature)
    return cosignature.time_s
