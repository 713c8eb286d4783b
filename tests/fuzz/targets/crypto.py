"""Secrets at rest, and what a person types: keystore, recovery kit and code, patients, envelopes.

What is locked is tried twice: as bytes off the disk, and with contents of any kind under the right
key, as nobody but the holder of the key could make them.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator
from typing import Final
from unittest.mock import patch

from caretree.crypto import locked
from caretree.crypto.aead import OpeningError, open_envelope, seal_envelope
from caretree.crypto.custody import open_sealed
from caretree.crypto.ed25519 import SignatureError, SigningKey, verify
from caretree.crypto.fields import decode_fields, encode_fields
from caretree.crypto.framing import length_prefixed
from caretree.crypto.keyring import chain_previous, key_id, open_previous
from caretree.crypto.keystore import _KIND as KEYSTORE_KIND
from caretree.crypto.keystore import _fields as keystore_fields
from caretree.crypto.keystore import decode_keystore, encode_keystore
from caretree.crypto.kit import _KIND as KIT_KIND
from caretree.crypto.kit import _fields as kit_fields
from caretree.crypto.kit import decode_kit, encode_kit
from caretree.crypto.locked import Passphrase, RawKey, lock, unlock
from caretree.crypto.padding import pad, unpad
from caretree.crypto.passphrase import LOG2_N, LOG2_N_MAX, Cost
from caretree.crypto.pseudonym import normalise_identifier
from caretree.crypto.recovery_code import draw_recovery_code, read_recovery_code
from caretree.crypto.resident_number import (
    RESIDENT_NUMBER_SYSTEM,
    check_resident_number,
    resident_check_place,
)
from caretree.crypto.sealing import (
    open_content,
    seal_content,
    unwrap_record_key,
    wrap_record_key,
)
from caretree.crypto.x25519 import SealingKey
from caretree.model.errors import MalformedError

from tests.crypto.builders import (
    FixedRandom,
    keyring_context,
    keystore,
    nonce,
    record_context,
    recovery_kit,
    secret,
)
from tests.fuzz.target import Shape, Target
from tests.fuzz.targets.merkle import text_of
from tests.ledger.builders import TOWN, founder, founders, pseudonym_info

_KEY: Final = RawKey(key=secret("keystore key"))
_PASSPHRASE: Final = "correct horse"
_CODE: Final = draw_recovery_code(FixedRandom("code"))
_BOX_EXTRA_BYTES: Final = 64  # at least what a box has beside its ciphertext
_RECORD_KEY, _EPOCH_KEY, _NEW_KEY = secret("record key"), secret("epoch key"), secret("new key")
_TOWN: Final = founder(TOWN)


def _quick_stretch(passphrase: str, cost: Cost) -> bytes:
    """In place of scrypt, whose cost is bounded by `Cost.decode` alone and is half a second."""
    assert LOG2_N <= cost.log2_n <= LOG2_N_MAX
    assert passphrase
    return hashlib.sha256(passphrase.encode() + cost.encode()).digest()


def quickly(run: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """A run whose passphrases are stretched quickly."""

    def wrapped(data: bytes) -> None:
        with patch.object(locked, "stretch", _quick_stretch):
            run(data)

    return wrapped


def _run_fields(data: bytes) -> None:
    assert encode_fields(decode_fields(data, known=range(256), name="fields")) == data


def _run_keystore(data: bytes) -> None:
    for key in (_KEY, Passphrase(text=_PASSPHRASE)):
        try:
            store = decode_keystore(data, key=key)
        except OpeningError:
            if isinstance(key, Passphrase):
                raise
            continue
        again = encode_keystore(store, key=_KEY, random=FixedRandom("again"))
        assert decode_keystore(again, key=_KEY) == store
        return


def _run_keystore_fields(data: bytes) -> None:
    plaintext = data[: locked.BOX_BYTES_MAX - _BOX_EXTRA_BYTES]
    box = lock(KEYSTORE_KIND, key=_KEY, context=b"", plaintext=plaintext, random=FixedRandom())
    assert encode_fields(keystore_fields(decode_keystore(box, key=_KEY))) == data


def _run_kit_fields(data: bytes) -> None:
    """Anything under the right code, in a text that is in order."""
    kit = recovery_kit()
    box = lock(
        KIT_KIND,
        key=Passphrase(text=_CODE.characters),
        context=length_prefixed(kit.consortium.encode(), kit.member.encode()),
        plaintext=data[: locked.BOX_BYTES_MAX - _BOX_EXTRA_BYTES],
        random=FixedRandom(),
    )
    head = ["CARETREE RECOVERY KIT v1", f"consortium: {kit.consortium}", f"member: {kit.member}"]
    body = base64.b64encode(box).decode()
    found = decode_kit("\n".join([*head, body, "END CARETREE RECOVERY KIT"]), code=_CODE)
    assert encode_fields(kit_fields(found)) == data


def _run_cost(data: bytes) -> None:
    cost = Cost.decode(data, field="cost")
    assert LOG2_N <= cost.log2_n <= LOG2_N_MAX
    assert cost.encode() == data


def _run_code(data: bytes) -> None:
    code = read_recovery_code(text_of(data))
    assert read_recovery_code(code.printed()) == code


def _run_resident_number(data: bytes) -> None:
    text = text_of(data)
    check_resident_number(text, field="patient.value")
    assert resident_check_place(text[:17]) == text[17:]


def _run_identifier(data: bytes) -> None:
    """System and value, divided by the first bar."""
    system, _, value = text_of(data).partition("|")
    uniform = normalise_identifier(system=system, value=value)
    assert normalise_identifier(system=uniform.system, value=uniform.value) == uniform


def _run_padding(data: bytes) -> None:
    assert pad(unpad(data)) == data


def _run_envelope(data: bytes) -> None:
    open_envelope(key=_EPOCH_KEY, aad=b"aad", envelope=data, field="envelope")


def _run_content(data: bytes) -> None:
    open_content(record_key=_RECORD_KEY, context=record_context(), payload=data)


def _run_wrapped_key(data: bytes) -> None:
    unwrap_record_key(epoch_key=_EPOCH_KEY, context=record_context(), wrapped=data)


def _run_chained_key(data: bytes) -> None:
    open_previous(
        new_key=_NEW_KEY,
        previous_key_id=key_id(_EPOCH_KEY),
        chained=data,
        context=keyring_context(),
    )


def _run_sealed_key(data: bytes) -> None:
    open_sealed(_TOWN.sealing, info=pseudonym_info(TOWN), sealed=data)


def _run_signature(data: bytes) -> None:
    """Public key, signature, and the rest as the message."""
    verify(data[:32], data[96:], data[32:96])


def _run_secrets(data: bytes) -> None:
    assert SigningKey.from_seed(data).seed == data
    assert SealingKey.from_private(data).private_key == data
    assert RawKey(key=data).key == data


def _kit() -> bytes:
    with patch.object(locked, "stretch", _quick_stretch):
        return encode_kit(recovery_kit(), code=_CODE, random=FixedRandom("kit")).encode()


def _keystores() -> Iterator[bytes]:
    random = FixedRandom("keystore")
    yield encode_keystore(keystore(), key=_KEY, random=random)
    yield encode_keystore(keystore(founded=False), key=_KEY, random=random)
    with patch.object(locked, "stretch", _quick_stretch):
        yield encode_keystore(keystore(), key=Passphrase(text=_PASSPHRASE), random=random)


def _resident_numbers() -> Iterator[bytes]:
    for first in ("11010519491231002", "32040420000229991"):
        yield f"{first}{resident_check_place(first)}".encode()


def _identifiers() -> Iterator[bytes]:
    for number in _resident_numbers():
        yield RESIDENT_NUMBER_SYSTEM.encode() + b"|" + number
    for value in (" a-1 ", "\uff21\uff11", "\u01c6", "\ufb01", "\u00df"):
        yield f"urn:example:card|{value}".encode()


def _signatures() -> Iterator[bytes]:
    key = _TOWN.member_key
    yield key.public_key + key.sign(b"message") + b"message"


_LOCKED_ERRORS: Final = (MalformedError, OpeningError)

TARGETS: Final = (
    Target(
        name="locked-fields",
        run=_run_fields,
        errors=(MalformedError,),
        seeds=lambda: [encode_fields({1: b"one", 2: b"", 255: b"last"})],
        covers=(decode_fields,),
    ),
    Target(
        name="keystore",
        run=quickly(_run_keystore),
        errors=_LOCKED_ERRORS,
        seeds=_keystores,
        covers=(decode_keystore, unlock),
    ),
    Target(
        name="keystore-fields",
        run=_run_keystore_fields,
        errors=(MalformedError,),
        seeds=lambda: [
            encode_fields(keystore_fields(keystore(founded=founded))) for founded in (True, False)
        ],
        covers=(decode_keystore,),
    ),
    Target(
        name="kit",
        run=quickly(lambda data: decode_kit(text_of(data), code=_CODE)),
        errors=_LOCKED_ERRORS,
        seeds=lambda: [_kit()],
        covers=(decode_kit, unlock),
        shape=Shape.TEXT,
        words=(b"CARETREE RECOVERY KIT v2\n", b"END CARETREE RECOVERY KIT\n", b"member: "),
    ),
    Target(
        name="kit-fields",
        run=quickly(_run_kit_fields),
        errors=(MalformedError,),
        seeds=lambda: [encode_fields(kit_fields(recovery_kit()))],
        covers=(decode_kit,),
    ),
    Target(
        name="scrypt-cost",
        run=_run_cost,
        errors=(MalformedError,),
        seeds=lambda: [Cost(log2_n=LOG2_N, salt=bytes(16)).encode()],
        covers=(Cost.decode,),
    ),
    Target(
        name="recovery-code",
        run=_run_code,
        errors=(MalformedError,),
        seeds=lambda: [
            draw_recovery_code(FixedRandom(f"code {number}")).printed().encode()
            for number in range(3)
        ],
        covers=(read_recovery_code,),
        shape=Shape.TEXT,
    ),
    Target(
        name="resident-number",
        run=_run_resident_number,
        errors=(MalformedError,),
        seeds=_resident_numbers,
        covers=(check_resident_number,),
        shape=Shape.TEXT,
    ),
    Target(
        name="patient-identifier",
        run=_run_identifier,
        errors=(MalformedError,),
        seeds=_identifiers,
        covers=(normalise_identifier,),
        shape=Shape.TEXT,
        words=(b"|", *(f"{chr(code)}".encode() for code in (0x1C5, 0x130, 0x345, 0xFDFA, 0x1F80))),
    ),
    Target(
        name="padding",
        run=_run_padding,
        errors=(MalformedError,),
        seeds=lambda: [pad(b"content"), pad(b"")],
        covers=(unpad,),
    ),
    Target(
        name="envelope",
        run=_run_envelope,
        errors=_LOCKED_ERRORS,
        seeds=lambda: [
            seal_envelope(key=_EPOCH_KEY, nonce=nonce("n"), aad=b"aad", plaintext=b"text")
        ],
        covers=(open_envelope,),
    ),
    Target(
        name="sealed-content",
        run=_run_content,
        errors=_LOCKED_ERRORS,
        seeds=lambda: [
            seal_content(
                record_key=_RECORD_KEY, nonce=nonce("n"), context=record_context(), content=b"text"
            )
        ],
        covers=(open_content,),
    ),
    Target(
        name="wrapped-key",
        run=_run_wrapped_key,
        errors=_LOCKED_ERRORS,
        seeds=lambda: [
            wrap_record_key(
                epoch_key=_EPOCH_KEY,
                nonce=nonce("n"),
                context=record_context(),
                record_key=_RECORD_KEY,
            )
        ],
        covers=(unwrap_record_key,),
    ),
    Target(
        name="chained-key",
        run=_run_chained_key,
        errors=_LOCKED_ERRORS,
        seeds=lambda: [
            chain_previous(
                new_key=_NEW_KEY,
                previous_key=_EPOCH_KEY,
                nonce=nonce("n"),
                context=keyring_context(),
            )
        ],
        covers=(open_previous,),
    ),
    Target(
        name="sealed-key",
        run=_run_sealed_key,
        errors=_LOCKED_ERRORS,
        seeds=lambda: [
            member.sealed_pseudonym_key
            for member in founders().genesis.members
            if member.member == TOWN
        ],
        covers=(open_sealed,),
    ),
    Target(
        name="ed25519-signature",
        run=_run_signature,
        errors=(SignatureError,),
        seeds=_signatures,
        covers=(verify,),
    ),
    Target(
        name="secrets",
        run=_run_secrets,
        errors=(MalformedError,),
        seeds=lambda: [secret("any")],
        covers=(SigningKey.from_seed, SealingKey.from_private),
    ),
)
