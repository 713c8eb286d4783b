"""One file that proves a leaf to be in a log (c2sp.org/tlog-proof@v1)."""

from dataclasses import dataclass

from caretree.merkle.checkpoint import parse_checkpoint
from caretree.merkle.lines import SignatureCheck
from caretree.merkle.note import NOTE_BYTES_MAX, Note, format_note, parse_note
from caretree.merkle.policy import Policy, VerifiedCheckpoint, verify_checkpoint
from caretree.merkle.shape import TREE_SIZE_MAX
from caretree.merkle.text import decode_base64, decode_hash, encode_base64, parse_decimal
from caretree.merkle.verify import verify_inclusion
from caretree.model.errors import MalformedError
from caretree.model.ids import Digest, LeafIndex
from caretree.model.limits import MIB

PROOF_HASHES_MAX = 63  # the height of the largest tree
TLOG_PROOF_BYTES_MAX = NOTE_BYTES_MAX + 1 * MIB
_HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlogProof:
    """The file's content. `extra` is not authenticated by it; empty means that there is none."""

    extra: bytes
    index: LeafIndex
    hashes: tuple[Digest, ...]
    note: Note


def format_tlog_proof(proof: TlogProof) -> bytes:
    """The file, which `parse_tlog_proof` reads back."""
    lines = [_HEADER]
    if proof.extra:
        lines.append(f"extra {encode_base64(proof.extra)}")
    lines.append(f"index {proof.index}")
    lines.extend(encode_base64(value) for value in proof.hashes)
    return "\n".join([*lines, "", ""]).encode("ascii") + format_note(proof.note)


def parse_tlog_proof(content: bytes) -> TlogProof:
    """The proof in a file. Nothing in it is verified yet.

    Raises:
        MalformedError: too long, lines missing, out of order or in another spelling, or a malformed
            checkpoint.
    """
    if len(content) > TLOG_PROOF_BYTES_MAX:
        raise MalformedError("tlog-proof", f"expected at most {TLOG_PROOF_BYTES_MAX} bytes")
    head, divider, note = content.partition(b"\n\n")  # no line of the head is empty
    if not divider:
        raise MalformedError("tlog-proof", "expected an empty line before the checkpoint")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise MalformedError("tlog-proof", "expected ASCII before the checkpoint") from error
    if lines.pop(0) != _HEADER:
        raise MalformedError("tlog-proof", f"expected {_HEADER} as first line")
    extra = _take_extra(lines)
    index = _take_index(lines)
    if len(lines) > PROOF_HASHES_MAX:
        raise MalformedError("tlog-proof", f"expected at most {PROOF_HASHES_MAX} hashes")
    hashes = tuple(decode_hash(line, field="tlog-proof hash") for line in lines)
    signed = parse_note(note)
    parse_checkpoint(signed.text)  # what is no checkpoint is malformed here, not when verified
    return TlogProof(extra=extra, index=index, hashes=hashes, note=signed)


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


def _take_extra(lines: list[str]) -> bytes:
    """The extra bytes, their line removed; empty when there is no such line."""
    if not lines or not lines[0].startswith("extra "):
        return b""
    extra = decode_base64(lines.pop(0).removeprefix("extra "), field="tlog-proof extra")
    if not extra:
        raise MalformedError("tlog-proof extra", "expected no line where there is nothing")
    return extra


def _take_index(lines: list[str]) -> LeafIndex:
    """The leaf index, its line removed."""
    if not lines or not lines[0].startswith("index "):
        raise MalformedError("tlog-proof", "expected an index line")
    text = lines.pop(0).removeprefix("index ")
    return LeafIndex(parse_decimal(text, field="tlog-proof index", maximum=TREE_SIZE_MAX - 1))
