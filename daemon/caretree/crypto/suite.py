"""The format version and the suite number that begin every envelope and file of this room.

Suite 1 is SHA-256, AES-256-GCM, HPKE with X25519, HKDF-SHA256 and AES-256-GCM, and Ed25519. Other
numbers are reserved, national and post-quantum algorithms among them (ARCHITECTURE section 4).
"""

from typing import Final

from caretree.model.errors import MalformedError

FORMAT_VERSION: Final = 1
SUITE_1: Final = 1

KEY_BYTES: Final = 32  # every symmetric key, seed and secret of suite 1
DIGEST_BYTES: Final = 32


class NewerFormatError(MalformedError):
    """The bytes were written by a newer Caretree than this one."""


class UnknownSuiteError(MalformedError):
    """The bytes name algorithms that this Caretree does not have."""


def check_version(version: int, *, field: str) -> None:
    """Return when `version` is one that this Caretree reads.

    Raises:
        NewerFormatError: it is newer than this Caretree.
        MalformedError: no Caretree ever wrote it.
    """
    if version > FORMAT_VERSION:
        expected = (
            f"format version {version} is newer than {FORMAT_VERSION}; upgrade Caretree to read it"
        )
        raise NewerFormatError(field, expected)
    if version != FORMAT_VERSION:
        raise MalformedError(field, f"expected format version {FORMAT_VERSION}, found {version}")


def check_suite(suite: int, *, field: str) -> None:
    """Return when `suite` is one whose algorithms this Caretree has.

    Raises:
        UnknownSuiteError: it is another.
    """
    if suite != SUITE_1:
        raise UnknownSuiteError(field, f"expected algorithm suite {SUITE_1}, found {suite}")


def check_key(key: bytes, *, field: str) -> bytes:
    """The key itself, when it has the 32 bytes that every key of suite 1 has.

    Raises:
        MalformedError: it has another length.
    """
    if len(key) != KEY_BYTES:
        raise MalformedError(field, f"expected {KEY_BYTES} bytes, found {len(key)}")
    return key
