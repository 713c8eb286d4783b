"""Project Wycheproof's cases on both libraries, and on our own functions where they apply."""

from collections import Counter

import pytest
from caretree.crypto.aead import OpeningError, open_envelope, seal_envelope
from caretree.crypto.derive import hkdf
from caretree.crypto.ed25519 import SignatureError, verify
from Crypto.Cipher import AES
from Crypto.Hash import SHA256
from Crypto.Protocol import KDF
from Crypto.Protocol.DH import (
    import_x25519_private_key,
    import_x25519_public_key,
    key_agreement,
)
from Crypto.Signature import eddsa
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tests.crypto.vector_files import WycheproofCase, wycheproof, wycheproof_cases

pytestmark = pytest.mark.vectors


def raw(case: WycheproofCase, *names: str) -> list[bytes]:
    return [bytes.fromhex(str(dict(case)[name])) for name in names]


def pycryptodome_gcm(case: WycheproofCase) -> bytes | None:
    key, nonce, aad, ciphertext, tag = raw(case, "key", "iv", "aad", "ct", "tag")
    try:
        cipher = AES.new(key, AES.MODE_GCM, nonce=nonce)
        cipher.update(aad)
        return cipher.decrypt_and_verify(ciphertext, tag)
    except ValueError:
        return None


def openssl_gcm(case: WycheproofCase) -> bytes | None:
    key, nonce, aad, ciphertext, tag = raw(case, "key", "iv", "aad", "ct", "tag")
    try:
        return AESGCM(key).decrypt(nonce, ciphertext + tag, aad)
    except (InvalidTag, ValueError):
        return None


def test_aes_gcm_on_both_libraries() -> None:
    cases = wycheproof_cases("aes_gcm")
    assert len(cases) == 316
    for case in cases:
        (plaintext,) = raw(case, "msg")
        expected = plaintext if case["result"] == "valid" else None
        assert pycryptodome_gcm(case) == expected, case["tcId"]
        # `cryptography` takes nonces of 8 to 128 bytes; ours have 12.
        if 8 <= len(case["iv"]) // 2 <= 128:
            assert openssl_gcm(case) == expected, case["tcId"]


def test_aes_gcm_cases_that_fit_our_envelope_open_in_it() -> None:
    outcomes: Counter[str] = Counter()
    for case in wycheproof_cases("aes_gcm"):
        key, nonce, aad, plaintext, ciphertext, tag = raw(
            case, "key", "iv", "aad", "msg", "ct", "tag"
        )
        if len(key) != 32 or len(nonce) != 12:
            continue
        envelope = b"\x01\x01" + nonce + ciphertext + tag
        outcomes[case["result"]] += 1
        if case["result"] == "valid":
            opened = open_envelope(key=key, aad=aad, envelope=envelope, field="case")
            assert opened == plaintext, case["tcId"]
            assert seal_envelope(key=key, nonce=nonce, aad=aad, plaintext=plaintext) == envelope
        else:
            with pytest.raises(OpeningError):
                open_envelope(key=key, aad=aad, envelope=envelope, field="case")
    assert outcomes["valid"] > 20
    assert outcomes["invalid"] > 20


def openssl_accepts(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def pycryptodome_accepts(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        eddsa.new(eddsa.import_public_key(key), "rfc8032").verify(message, signature)
    except ValueError:
        return False
    return True


def our_rule_accepts(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        verify(key, message, signature)
    except SignatureError:
        return False
    return True


def test_ed25519_by_our_rule_and_on_both_libraries() -> None:
    count = 0
    for group in wycheproof("ed25519"):
        key = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            message, signature = raw(case, "msg", "sig")
            valid = case["result"] == "valid"
            assert our_rule_accepts(key, message, signature) == valid, case["tcId"]
            assert openssl_accepts(key, message, signature) == valid, case["tcId"]
            assert pycryptodome_accepts(key, message, signature) == valid, case["tcId"]
            count += 1
    assert count == 151


def pycryptodome_x25519(private: bytes, public: bytes) -> bytes | None:
    try:
        return key_agreement(
            static_priv=import_x25519_private_key(private),
            static_pub=import_x25519_public_key(public),
            kdf=lambda shared: shared,
        )
    except ValueError:
        return None


def openssl_x25519(private: bytes, public: bytes) -> bytes | None:
    try:
        key = X25519PrivateKey.from_private_bytes(private)
        return key.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        return None


def test_x25519_on_both_libraries() -> None:
    outcomes: Counter[str] = Counter()
    for case in wycheproof_cases("x25519"):
        private, public, shared = raw(case, "private", "public", "shared")
        zero = "ZeroSharedSecret" in case["flags"]
        expected = None if zero else shared
        assert zero == (not any(shared)), case["tcId"]
        assert pycryptodome_x25519(private, public) == expected, case["tcId"]
        assert openssl_x25519(private, public) == expected, case["tcId"]
        outcomes["refused" if zero else "agreed"] += 1
    assert outcomes == {"agreed": 518 - 31, "refused": 31}


def pycryptodome_wrap(key: bytes, plaintext: bytes) -> bytes | None:
    try:
        return AES.new(key, AES.MODE_KW).seal(plaintext)
    except ValueError:
        return None


def pycryptodome_unwrap(key: bytes, wrapped: bytes) -> bytes | None:
    try:
        return AES.new(key, AES.MODE_KW).unseal(wrapped)
    except ValueError:
        return None


def openssl_unwrap(key: bytes, wrapped: bytes) -> bytes | None:
    try:
        return keywrap.aes_key_unwrap(key, wrapped)
    except (keywrap.InvalidUnwrap, ValueError):
        return None


def test_aes_key_wrap_on_both_libraries() -> None:
    outcomes: Counter[str] = Counter()
    for case in wycheproof_cases("aes_wrap"):
        key, plaintext, wrapped = raw(case, "key", "msg", "ct")
        # The three acceptable cases wrap 8 bytes, which RFC 3394 does not define: refused.
        expected = plaintext if case["result"] == "valid" else None
        assert pycryptodome_unwrap(key, wrapped) == expected, case["tcId"]
        assert openssl_unwrap(key, wrapped) == expected, case["tcId"]
        if case["result"] == "valid":
            assert pycryptodome_wrap(key, plaintext) == wrapped, case["tcId"]
            assert keywrap.aes_key_wrap(key, plaintext) == wrapped, case["tcId"]
        outcomes[case["result"]] += 1
    assert outcomes == {"valid": 36, "invalid": 126, "acceptable": 3}


def openssl_hkdf(case: WycheproofCase) -> bytes | None:
    key, salt, info = raw(case, "ikm", "salt", "info")
    try:
        return HKDF(hashes.SHA256(), case["size"], salt, info).derive(key)
    except ValueError:
        return None


def pycryptodome_hkdf(case: WycheproofCase) -> bytes | None:
    key, salt, info = raw(case, "ikm", "salt", "info")
    try:
        derived = KDF.HKDF(key, case["size"], salt, SHA256, context=info)
    except ValueError:
        return None
    assert isinstance(derived, bytes)
    return derived


def test_hkdf_sha256_on_both_libraries_and_in_our_function() -> None:
    ours = 0
    cases = wycheproof_cases("hkdf_sha256")
    for case in cases:
        (output,) = raw(case, "okm")
        expected = output if case["result"] == "valid" else None
        assert openssl_hkdf(case) == expected, case["tcId"]
        assert pycryptodome_hkdf(case) == expected, case["tcId"]
        if case["result"] == "valid" and not case["salt"] and case["size"] >= 32:
            key, info = raw(case, "ikm", "info")
            assert hkdf(key, info=info) == output[:32], case["tcId"]
            ours += 1
    assert len(cases) == 86
    assert ours > 10
