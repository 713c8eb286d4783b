"""The vector files of others as typed cases."""

import json
from typing import TypedDict, cast

from tests.shared import shared_path


class WycheproofCase(TypedDict, total=False):
    """One case of a Wycheproof file; which fields it has depends on the file."""

    tcId: int
    flags: list[str]
    result: str
    key: str
    iv: str
    aad: str
    msg: str
    ct: str
    tag: str
    sig: str
    ikm: str
    salt: str
    info: str
    size: int
    okm: str
    public: str
    private: str
    shared: str


class WycheproofKey(TypedDict):
    """The key that the cases of a group share."""

    pk: str


class WycheproofGroup(TypedDict, total=False):
    """Cases with what they share."""

    publicKey: WycheproofKey
    tests: list[WycheproofCase]


class CctvCase(TypedDict):
    """One edge case of an Ed25519 signature."""

    number: int
    key: str
    sig: str
    msg: str
    flags: list[str] | None


class HpkeEncryption(TypedDict):
    """One message of an HPKE context."""

    aad: str
    ct: str
    pt: str


class HpkeExport(TypedDict):
    """One exported secret of an HPKE context."""

    exporter_context: str
    L: int
    exported_value: str


class HpkeCase(TypedDict, total=False):
    """One HPKE context of RFC 9180 Appendix A."""

    mode: int
    aead_id: int
    info: str
    skRm: str
    pkRm: str
    pkSm: str
    psk: str
    psk_id: str
    enc: str
    key: str
    base_nonce: str
    encryptions: list[HpkeEncryption]
    exports: list[HpkeExport]


def wycheproof(name: str) -> list[WycheproofGroup]:
    """The groups of a Wycheproof file."""
    content = cast("dict[str, object]", _load(f"vectors/wycheproof/{name}_test.json"))
    return cast("list[WycheproofGroup]", content["testGroups"])


def wycheproof_cases(name: str) -> list[WycheproofCase]:
    """The cases of all groups of a Wycheproof file."""
    return [case for group in wycheproof(name) for case in group["tests"]]


def cctv_cases() -> list[CctvCase]:
    """The Ed25519 edge cases of C2SP/CCTV."""
    return cast("list[CctvCase]", _load("vectors/cctv-ed25519/ed25519vectors.json"))


def hpke_cases() -> list[HpkeCase]:
    """The contexts of RFC 9180 for X25519, HKDF-SHA256 and AES-GCM."""
    return cast("list[HpkeCase]", _load("vectors/hpke/rfc9180-x25519-hkdfsha256-aesgcm.json"))


def _load(relative: str) -> object:
    return cast("object", json.loads(shared_path(relative).read_text(encoding="utf-8")))
