"""RFC 9180 Appendix A: every check on pycryptodome, mode base on `cryptography` and our own."""

import pytest
from caretree.crypto.custody import open_sealed
from caretree.crypto.x25519 import SealingKey
from Crypto.Protocol import HPKE
from Crypto.Protocol.DH import import_x25519_private_key, import_x25519_public_key
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.crypto.vector_files import HpkeCase, hpke_cases

pytestmark = pytest.mark.vectors

CONTEXTS = 8
AEADS = {1: hpke.AEAD.AES_128_GCM, 2: hpke.AEAD.AES_256_GCM}


def receiver(case: HpkeCase) -> HPKE.HPKE_Cipher:
    psk = (bytes.fromhex(case["psk_id"]), bytes.fromhex(case["psk"])) if "psk" in case else None
    sender = import_x25519_public_key(bytes.fromhex(case["pkSm"])) if "pkSm" in case else None
    return HPKE.new(
        receiver_key=import_x25519_private_key(bytes.fromhex(case["skRm"])),
        aead_id=HPKE.AEAD(case["aead_id"]),
        enc=bytes.fromhex(case["enc"]),
        sender_key=sender,
        psk=psk,
        info=bytes.fromhex(case["info"]),
    )


@pytest.mark.parametrize("number", range(CONTEXTS))
def test_pycryptodome_opens_every_message_and_exports_every_secret(number: int) -> None:
    case = hpke_cases()[number]
    cipher = receiver(case)
    for message in case["encryptions"]:
        plaintext = cipher.unseal(bytes.fromhex(message["ct"]), bytes.fromhex(message["aad"]))
        assert plaintext.hex() == message["pt"]
    for export in case["exports"]:
        exported = cipher.export(bytes.fromhex(export["exporter_context"]), export["L"])
        assert exported.hex() == export["exported_value"]


def test_there_are_2080_checks() -> None:
    checks = [len(case["encryptions"]) + len(case["exports"]) for case in hpke_cases()]
    assert len(checks) == CONTEXTS
    assert sum(checks) == 2080


@pytest.mark.parametrize("aead_id", [1, 2])
def test_both_libraries_reach_the_key_and_nonce_of_mode_base(aead_id: int) -> None:
    # All messages of the vectors carry additional data, which `cryptography` does not take; so a
    # message without is sealed under the vectors' own key and nonce, and both must open it.
    case = next(case for case in hpke_cases() if case["mode"] == 0 and case["aead_id"] == aead_id)
    key, nonce = bytes.fromhex(case["key"]), bytes.fromhex(case["base_nonce"])
    message = bytes.fromhex(case["enc"]) + AESGCM(key).encrypt(nonce, b"message", None)
    private = X25519PrivateKey.from_private_bytes(bytes.fromhex(case["skRm"]))
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, AEADS[aead_id])
    assert suite.decrypt(message, private, bytes.fromhex(case["info"])) == b"message"
    assert receiver(case).unseal(message[32:]) == b"message"


def test_our_envelope_opens_a_message_under_the_vectors_key() -> None:
    case = next(case for case in hpke_cases() if case["mode"] == 0 and case["aead_id"] == 2)
    key, nonce = bytes.fromhex(case["key"]), bytes.fromhex(case["base_nonce"])
    sealing_key = SealingKey.from_private(bytes.fromhex(case["skRm"]))
    assert sealing_key.public_key.hex() == case["pkRm"]
    enc = bytes.fromhex(case["enc"])
    sealed = b"\x01\x01" + enc + AESGCM(key).encrypt(nonce, b"message", None)
    assert open_sealed(sealing_key, info=bytes.fromhex(case["info"]), sealed=sealed) == b"message"
