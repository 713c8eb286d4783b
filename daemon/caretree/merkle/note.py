"""Signed notes (c2sp.org/signed-note): parsing strictly, writing, and opening with trusted keys."""

from collections.abc import Iterable
from dataclasses import dataclass

from caretree.merkle.cosignature import verify_cosignature
from caretree.merkle.keys import SignatureType, VerifierKey
from caretree.merkle.lines import (
    SIGNATURE_BYTES,
    SignatureCheck,
    SignatureLine,
    format_line,
    parse_line,
)
from caretree.model.errors import MalformedError, VerificationError
from caretree.model.limits import MIB

# The format asks for at least 16. At most 9 voters give two lines each, at most 55 witnesses one.
SIGNATURE_LINES_MAX = 100
NOTE_BYTES_MAX = 1 * MIB
_CONTROLS = bytes(byte for byte in range(0x20) if byte != 0x0A)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A text, its last newline included, and the lines under it, of which nothing is verified."""

    text: bytes
    lines: tuple[SignatureLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedLine:
    """A line whose signature by a trusted key holds; a cosignature says when it was made."""

    line: SignatureLine
    key: VerifierKey
    time_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedNote:
    """A text that a trusted key signed; lines of unknown keys stand apart and mean nothing."""

    text: bytes
    verified: tuple[VerifiedLine, ...]
    unverified: tuple[SignatureLine, ...]


class BadSignatureError(VerificationError):
    """A trusted key's signature does not hold, so the whole note is refused."""

    def __init__(self, line: SignatureLine) -> None:
        super().__init__(f"the signature of {line.name} ({line.key_id.hex()}) does not hold")
        self.line = line


class UnsignedNoteError(VerificationError):
    """No trusted key signed the note."""


def parse_note(content: bytes) -> Note:
    """The note behind these bytes, which `format_note` gives back exactly.

    Raises:
        MalformedError: too long, not UTF-8, control characters, no last empty line, or a bad
            signature line.
    """
    if len(content) > NOTE_BYTES_MAX:
        raise MalformedError("note", f"expected at most {NOTE_BYTES_MAX} bytes")
    decoded = _decode_note(content)
    # The text may hold empty lines itself: the last one divides.
    text, divider, signatures = decoded.rpartition("\n\n")
    if not divider or not signatures.endswith("\n"):
        raise MalformedError("note", "expected text, an empty line, and lines of signatures")
    lines = signatures.removesuffix("\n").split("\n", SIGNATURE_LINES_MAX)
    if len(lines) > SIGNATURE_LINES_MAX:
        raise MalformedError("note", f"expected at most {SIGNATURE_LINES_MAX} signature lines")
    return Note(
        text=f"{text}\n".encode(),
        lines=tuple(parse_line(line) for line in lines),
    )


def format_note(note: Note) -> bytes:
    """The note as it travels: text, empty line, signature lines, of which it has at least one."""
    assert note.text.endswith(b"\n")
    assert 0 < len(note.lines) <= SIGNATURE_LINES_MAX
    return note.text + b"\n" + "".join(map(format_line, note.lines)).encode()


def open_note(note: Note, verifiers: Iterable[VerifierKey], check: SignatureCheck) -> OpenedNote:
    """The note's text, once every line of a trusted key is verified and there is at least one.

    Raises:
        MalformedError: two trusted keys share a name and key id.
        BadSignatureError: a line of a trusted key does not hold.
        UnsignedNoteError: no line is of a trusted key.
    """
    known = _by_name_and_id(verifiers)
    verified: list[VerifiedLine] = []
    unverified: list[SignatureLine] = []
    for line in note.lines:
        key = known.get((line.name, line.key_id))
        if key is None:
            unverified.append(line)
        else:
            verified.append(verify_line(line, text=note.text, key=key, check=check))
    if not verified:
        raise UnsignedNoteError("no trusted key signed the note")
    return OpenedNote(text=note.text, verified=tuple(verified), unverified=tuple(unverified))


def verify_line(
    line: SignatureLine, *, text: bytes, key: VerifierKey, check: SignatureCheck
) -> VerifiedLine:
    """The line, verified over the text in the way of the key's signature type.

    Raises:
        BadSignatureError: it is not this key's, has no fitting form, or does not hold.
    """
    if (line.name, line.key_id) != (key.name, key.key_id):
        raise BadSignatureError(line)
    try:
        time_s = _check_line(line.signature, text=text, key=key, check=check)
    except (MalformedError, VerificationError) as error:
        raise BadSignatureError(line) from error
    return VerifiedLine(line=line, key=key, time_s=time_s)


def _check_line(
    signature: bytes, *, text: bytes, key: VerifierKey, check: SignatureCheck
) -> int | None:
    """The time of a cosignature, None for a plain signature; returns when it holds."""
    match key.signature_type:
        case SignatureType.NOTE:
            if len(signature) != SIGNATURE_BYTES:
                raise MalformedError("signature", f"expected {SIGNATURE_BYTES} bytes")
            check(key.public_key, text, signature)
            return None
        case SignatureType.COSIGNATURE:
            return verify_cosignature(signature, text=text, public_key=key.public_key, check=check)


def _decode_note(content: bytes) -> str:
    """The note's characters."""
    try:
        decoded = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedError("note", "expected UTF-8") from error
    # Bytes below 0x20 are control characters in UTF-8 too, never parts of others.
    if len(content.translate(None, _CONTROLS)) != len(content):
        raise MalformedError("note", "expected no control characters but newlines")
    return decoded


def _by_name_and_id(verifiers: Iterable[VerifierKey]) -> dict[tuple[str, bytes], VerifierKey]:
    """The keys by what a line says of its signer."""
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for key in verifiers:
        other = known.setdefault((key.name, key.key_id), key)
        if other is not key and other != key:
            raise MalformedError("verifiers", f"expected one key for {key.name} {key.key_id.hex()}")
    return known
