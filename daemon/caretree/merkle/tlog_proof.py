"""One file that proves a leaf to be in a log (c2sp.org/tlog-proof@v1)."""

from binascii import b2a_base64
from dataclasses import dataclass

from caretree.merkle.checkpoint import parse_checkpoint
from caretree.merkle.lines import SignatureCheck
from caretree.merkle.note import NOTE_BYTES_MAX, Note, format_note, parse_note
from caretree.merkle.policy import Policy, VerifiedCheckpoint, verify_checkpoint
from caretree.merkle.shape import TREE_SIZE_MAX
from caretree.merkle.text import (
    decode_base64,
    decode_hash_lines,
    encode_hash_lines,
    parse_decimal,
)
from caretree.merkle.verify import verify_inclusion
from caretree.model.errors import MalformedError
from caretree.model.ids import Digest, LeafIndex
from caretree.model.limits import MIB

PROOF_HASHES_MAX = 63  # the height of the largest tree
TLOG_PROOF_BYTES_MAX = NOTE_BYTES_MAX + 1 * MIB
_HEADER = b"c2sp.org/tlog-proof@v1"
_EXTRA = b"extra "
_INDEX = b"index "


@dataclass(frozen=True, slots=True, kw_only=True)
class TlogProof:
    """The file's content. `extra` is not authenticated by it; empty means that there is none."""

    extra: bytes
    index: LeafIndex
    hashes: tuple[Digest, ...]
    note: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class TlogProofParts:
    """The same with the checkpoint's note as its bytes, which many files have in common."""

    extra: bytes
    index: LeafIndex
    hashes: tuple[Digest, ...]
    note: bytes


def format_tlog_proof(proof: TlogProof) -> bytes:
    """The file, which `parse_tlog_proof` reads back."""
    parts = TlogProofParts(
        extra=proof.extra, index=proof.index, hashes=proof.hashes, note=format_note(proof.note)
    )
    return join_tlog_proof(parts)


def join_tlog_proof(parts: TlogProofParts) -> bytes:
    """The file of these parts, whose note is one of a checkpoint, as `format_note` writes it."""
    extra = b"".join((_EXTRA, b2a_base64(parts.extra))) if parts.extra else b""
    return b"".join(
        (
            _HEADER,
            b"\n",
            extra,
            b"%b%d\n" % (_INDEX, parts.index),
            encode_hash_lines(parts.hashes),
            b"\n",
            parts.note,
        )
    )


def parse_tlog_proof(content: bytes) -> TlogProof:
    """The proof in a file. Nothing in it is verified yet.

    Raises:
        MalformedError: too long, lines missing, out of order or in another spelling, or a malformed
            checkpoint.
    """
    parts = split_tlog_proof(content)
    signed = parse_note(parts.note)
    parse_checkpoint(signed.text)  # what is no checkpoint is malformed here, not when verified
    return TlogProof(extra=parts.extra, index=parts.index, hashes=parts.hashes, note=signed)


def split_tlog_proof(content: bytes) -> TlogProofParts:
    """The parts of a file, its note not looked at.

    Raises:
        MalformedError: too long, or lines before the note missing, out of order or in another
            spelling.
    """
    if len(content) > TLOG_PROOF_BYTES_MAX:
        raise MalformedError("tlog-proof", f"expected at most {TLOG_PROOF_BYTES_MAX} bytes")
    # No line of the head is empty. The search begins behind the second line, the extra: it is long,
    # and two bytes are searched for far more slowly than one (2 us of each receipt).
    end = content.find(b"\n\n", content.find(b"\n", len(_HEADER) + 1))
    if end < 0:
        raise MalformedError("tlog-proof", "expected an empty line before the checkpoint")
    lines = content[:end].split(b"\n")
    if lines.pop(0) != _HEADER:
        raise MalformedError("tlog-proof", f"expected {_HEADER.decode()} as first line")
    extra = _take_extra(lines)
    index = _take_index(lines)
    if len(lines) > PROOF_HASHES_MAX:
        raise MalformedError("tlog-proof", f"expected at most {PROOF_HASHES_MAX} hashes")
    hashes = decode_hash_lines(lines, field="tlog-proof hash")
    return TlogProofParts(extra=extra, index=index, hashes=hashes, note=content[end + 2 :])


def verify_tlog_proof(
    proof: TlogProof, *, leaf_hash: bytes, policy: Policy, check: SignatureCheck
) -> VerifiedCheckpoint:
    """The checkpoint that the policy accepts and in whose tree the leaf is.

    The caller computed the leaf hash itself (step 1 of the format); the policy and signatures (2
    and 3) come before the inclusion (4), because a proof under an untrusted root says nothing.

    Raises:
        MalformedError: no checkpoint, or an impossible index.
        VerificationError: a signature, the quorum or the inclusion does not hold.
    """
    verified = verify_checkpoint(proof.note, policy, check)
    verify_inclusion(
        index=proof.index,
        size=verified.checkpoint.size,
        leaf_hash=leaf_hash,
        proof=proof.hashes,
        root=verified.checkpoint.root,
    )
    return verified


def _take_extra(lines: list[bytes]) -> bytes:
    """The extra bytes, their line removed; empty when there is no such line."""
    if not lines or not lines[0].startswith(_EXTRA):
        return b""
    extra = decode_base64(lines.pop(0).removeprefix(_EXTRA), field="tlog-proof extra")
    if not extra:
        raise MalformedError("tlog-proof extra", "expected no line where there is nothing")
    return extra


def _take_index(lines: list[bytes]) -> LeafIndex:
    """The leaf index, its line removed."""
    if not lines or not lines[0].startswith(_INDEX):
        raise MalformedError("tlog-proof", "expected an index line")
    # Latin-1 has a character for every byte, and the number's spelling allows digits alone.
    text = lines.pop(0).removeprefix(_INDEX).decode("latin-1")
    return LeafIndex(parse_decimal(text, field="tlog-proof index", maximum=TREE_SIZE_MAX - 1))
