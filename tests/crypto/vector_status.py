"""What this room says of the vectors of others (read by `make vectors`)."""

from typing import Final

VECTOR_STATUS: Final[dict[str, str | tuple[str, str]]] = {
    "wycheproof/aes_gcm_test.json": "passed",
    "wycheproof/aes_wrap_test.json": (
        "passed",
        "by both libraries; Caretree itself wraps keys with AES-256-GCM",
    ),
    "wycheproof/ed25519_test.json": "passed",
    "wycheproof/hkdf_sha256_test.json": "passed",
    "wycheproof/x25519_test.json": (
        "passed",
        "the 31 acceptable cases with an all-zero shared secret are refused",
    ),
    "wycheproof/mldsa_44_verify_test.json": "later: ML-DSA comes with a suite of its own",
    "hpke/rfc9180-x25519-hkdfsha256-aesgcm.json": "passed",
    "cctv-ed25519/ed25519vectors.json": (
        "refused: ADR-0011 871 of 914 cases, by a rule that a test states case by case",
        "43 accepted",
    ),
}
