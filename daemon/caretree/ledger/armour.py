"""Bytes as a text file that people hand round: what it is, base64, and a checksum at the end.

    caretree invitation v1
    CAESEWNoYW5nemhvdS5leGFtcGxl...
    sha256 4f0a2b9c1d3e5f60

The checksum (8 bytes of SHA-256 over first line and content) finds a cut or mistyped file and
proves nothing. Spaces at line ends, empty lines and Windows line ends do no harm.
"""

import binascii
import hashlib
from enum import Enum
from typing import Final

from caretree.ledger.wire import check_at_most
from caretree.model.errors import MalformedError
from caretree.model.limits import MIB

ARMOUR_BYTES_MAX: Final = 1 * MIB
_LINE_BYTES: Final = 48  # 64 characters of base64
_CHECKSUM_BYTES: Final = 8
_CHECKSUM_WORD: Final = "sha256 "


class Armour(Enum):
    """What a file is, as its first line says."""

    INVITATION = "caretree invitation v1"
    JOIN_REQUEST = "caretree join request v1"
    GENESIS = "caretree genesis v1"
    FOUNDER_SIGNATURE = "caretree founder signature v1"
    FOUNDED_GENESIS = "caretree founded genesis v1"


def format_armour(kind: Armour, content: bytes) -> bytes:
    """The file that carries these bytes."""
    lines = [kind.value]
    for start in range(0, len(content), _LINE_BYTES):
        line = content[start : start + _LINE_BYTES]
        lines.append(binascii.b2a_base64(line, newline=False).decode("ascii"))
    lines.append(f"{_CHECKSUM_WORD}{_checksum(kind, content)}")
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def parse_armour(kind: Armour, file: bytes) -> bytes:
    """The bytes that a file of this kind carries.

    Raises:
        MalformedError: saying whether it is another kind of file, of a newer version, or damaged.
    """
    field = kind.value.removeprefix("caretree ").removesuffix(" v1")
    check_at_most(len(file), ARMOUR_BYTES_MAX, field=field, unit="bytes")
    try:
        text = file.decode("ascii")
    except UnicodeDecodeError:
        raise MalformedError(field, f"expected a text file that begins {kind.value!r}") from None
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    if not lines or lines[0] != kind.value:
        raise MalformedError(field, f"expected a file that begins {kind.value!r}")
    if len(lines) < 2 or not lines[-1].startswith(_CHECKSUM_WORD):
        raise MalformedError(field, "the checksum line is missing: the end of the file is cut off")
    content = _decode(lines[1:-1], field=field)
    if lines[-1].removeprefix(_CHECKSUM_WORD) != _checksum(kind, content):
        raise MalformedError(field, "the checksum differs: the file was changed on its way")
    return content


def _decode(lines: list[str], *, field: str) -> bytes:
    try:
        return b"".join(binascii.a2b_base64(line, strict_mode=True) for line in lines)
    except ValueError:
        raise MalformedError(field, "expected lines of base64 between first and last") from None


def _checksum(kind: Armour, content: bytes) -> str:
    digest = hashlib.sha256(kind.value.encode("ascii") + b"\n" + content).digest()
    return digest[:_CHECKSUM_BYTES].hex()
