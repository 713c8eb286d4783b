"""The formats of C2SP: notes, checkpoints, policies, proofs, tiles; and ids in texts."""

import struct
from collections.abc import Callable, Iterator
from typing import Final

from caretree.ledger.certificate import certification, verify_certified
from caretree.merkle.bundle import decode_entries, encode_entries
from caretree.merkle.checkpoint import format_checkpoint, parse_checkpoint
from caretree.merkle.cosignature import decode_cosignature, encode_cosignature
from caretree.merkle.frontier import parse_frontier
from caretree.merkle.keys import SignatureType, format_vkey, parse_vkey
from caretree.merkle.lines import format_line, parse_line
from caretree.merkle.note import Note, format_note, open_note, parse_note
from caretree.merkle.policy import Group, Log, Policy, Witness, verify_checkpoint
from caretree.merkle.policy_text import format_policy, parse_policy
from caretree.merkle.text import decode_base64, decode_hash, encode_base64, parse_decimal
from caretree.merkle.tiles import parse_tile_path, tile_path
from caretree.merkle.tlog_proof import (
    TlogProof,
    format_tlog_proof,
    parse_tlog_proof,
    verify_tlog_proof,
)
from caretree.merkle.verify import verify_consistency, verify_inclusion
from caretree.model.errors import MalformedError, VerificationError
from caretree.model.ids import (
    Digest,
    LeafIndex,
    parse_consortium_name,
    parse_member_id,
    parse_name,
    parse_peer_id,
    show_peer_id,
)

from tests.fuzz.target import Shape, Target
from tests.ledger.builders import founders
from tests.ledger.samples import history
from tests.merkle.builders import (
    ORIGIN,
    check_signature,
    cosigner,
    grow_to,
    log_signer,
    make_checkpoint,
    make_leaves,
)
from tests.merkle.reference import audit_path, consistency, tree_hash

_LEAVES: Final = 13
_HASH_BYTES: Final = 32
_LOG, _WITNESSES = log_signer(), (cosigner(1), cosigner(2))
_RULE: Final = certification(founders().genesis)

POLICY: Final = Policy(
    logs=(Log(key=_LOG.verifier(SignatureType.NOTE), url="https://log.example/"),),
    witnesses=tuple(
        Witness(name=f"w{place}", key=one.verifier(SignatureType.COSIGNATURE), url=None)
        for place, one in enumerate(_WITNESSES)
    ),
    groups=(Group(name="both", threshold=2, members=("w0", "w1")),),
    quorum="both",
)


def text_of(data: bytes) -> str:
    """The bytes as a text; what is no UTF-8 becomes half surrogates, as on a command line."""
    return data.decode("utf-8", "surrogateescape")


def signed_note() -> bytes:
    """A checkpoint with a log's line and two cosignatures."""
    text = format_checkpoint(make_checkpoint(grow_to(_LEAVES).after))
    lines = (_LOG.sign(text), *(one.cosign(text) for one in _WITNESSES))
    return format_note(Note(text=text, lines=lines))


def proof_file(index: int, extra: bytes = b"") -> bytes:
    """A tlog-proof of a leaf."""
    hashes = tuple(Digest(value) for value in audit_path(index, make_leaves(_LEAVES)))
    note = parse_note(signed_note())
    proof = TlogProof(extra=extra, index=LeafIndex(index), hashes=hashes, note=note)
    return format_tlog_proof(proof)


def _run_note(data: bytes) -> None:
    note = parse_note(data)
    assert format_note(note) == data
    open_note(note, POLICY.verifiers(ORIGIN), check_signature)
    verify_checkpoint(note, POLICY, check_signature)


def _run_certified(data: bytes) -> None:
    assert verify_certified(data, _RULE).checkpoint.origin == founders().origin


def _run_line(data: bytes) -> None:
    text = text_of(data)
    assert format_line(parse_line(text)) == f"{text}\n"


def _run_checkpoint(data: bytes) -> None:
    assert format_checkpoint(parse_checkpoint(data)) == data


def _run_cosignature(data: bytes) -> None:
    assert encode_cosignature(decode_cosignature(data)) == data


def _run_vkey(data: bytes) -> None:
    text = text_of(data)
    assert format_vkey(parse_vkey(text)) == text


def _run_policy(data: bytes) -> None:
    policy = parse_policy(data)
    assert parse_policy(format_policy(policy)) == policy
    policy.quorum_met(witness.name for witness in policy.witnesses)


def _run_tlog_proof(data: bytes) -> None:
    proof = parse_tlog_proof(data)
    assert format_tlog_proof(proof) == data
    leaf = tree_hash(make_leaves(1))
    verified = verify_tlog_proof(proof, leaf_hash=leaf, policy=POLICY, check=check_signature)
    assert verified.checkpoint == make_checkpoint(grow_to(_LEAVES).after)


def _run_inclusion(data: bytes) -> None:
    """What is taken is the one proof that there is of a leaf of the known tree."""
    index, leaf, proof = _split_proof(data)
    leaves = make_leaves(_LEAVES)
    verify_inclusion(index=index, size=_LEAVES, leaf_hash=leaf, proof=proof, root=tree_hash(leaves))
    assert leaf == tree_hash([leaves[index]])
    assert list(proof) == audit_path(index, leaves)


def _run_consistency(data: bytes) -> None:
    """What is taken is the one proof that there is between two sizes of the known tree."""
    size, root, proof = _split_proof(data)
    leaves = make_leaves(_LEAVES)
    verify_consistency(size1=size, size2=_LEAVES, proof=proof, root1=root, root2=tree_hash(leaves))
    assert root == tree_hash(leaves[:size])
    assert list(proof) == ([] if size == _LEAVES else consistency(size, leaves))


def _run_free_consistency(data: bytes) -> None:
    size, root, proof = _split_proof(data)
    verify_consistency(
        size1=size & 0xFFFF_FFFF, size2=size >> 32, proof=proof, root1=root, root2=root[::-1]
    )


def _run_entries(data: bytes) -> None:
    width, bundle = data[:1], data[1:]
    entries = decode_entries(bundle, width=width[0] if width else 0)
    assert encode_entries(entries) == bundle


def _run_frontier(data: bytes) -> None:
    size, roots = int.from_bytes(data[:8], "big"), _hashes(data[8:])
    assert parse_frontier(size=size, roots=roots).roots == roots


def _run_tile_path(data: bytes) -> None:
    path = text_of(data)
    assert tile_path(parse_tile_path(path)) == path


def _run_text(data: bytes) -> None:
    """Each piece in turn; the last one that refuses decides."""
    text = text_of(data)
    match data[:1]:
        case b"d":
            assert str(parse_decimal(text[1:], field="number", maximum=2**63 - 1)) == text[1:]
        case b"h":
            assert encode_base64(decode_hash(text[1:], field="hash")) == text[1:]
        case _:
            assert encode_base64(decode_base64(text[1:], field="base64")) == text[1:]


def _run_ids(data: bytes) -> None:
    text = text_of(data)
    parsers: dict[bytes, Callable[[str], str]] = {
        b"m": parse_member_id,
        b"n": lambda name: parse_name(name, field="name"),
        b"c": parse_consortium_name,
    }
    parse = parsers.get(data[:1])
    if parse is None:
        assert show_peer_id(parse_peer_id(text[1:])) == text[1:]
    else:
        assert parse(text[1:]) == text[1:]


def _split_proof(data: bytes) -> tuple[int, bytes, tuple[bytes, ...]]:
    """A number, a hash, and the rest cut into hashes, of which the last may be short."""
    return int.from_bytes(data[:8], "big"), data[8:40], _hashes(data[40:])


def _hashes(data: bytes) -> tuple[bytes, ...]:
    starts = range(0, len(data), _HASH_BYTES)
    return tuple(data[start : start + _HASH_BYTES] for start in starts)


def _inclusion_seeds() -> Iterator[bytes]:
    leaves = make_leaves(_LEAVES)
    for index in range(_LEAVES):
        proof = b"".join(audit_path(index, leaves))
        yield struct.pack(">Q", index) + tree_hash([leaves[index]]) + proof


def _consistency_seeds() -> Iterator[bytes]:
    leaves = make_leaves(_LEAVES)
    for size in range(1, _LEAVES + 1):
        proof = b"" if size == _LEAVES else b"".join(consistency(size, leaves))
        yield struct.pack(">Q", size) + tree_hash(leaves[:size]) + proof


def _entry_seeds() -> Iterator[bytes]:
    for count in (0, 1, 3):
        yield bytes((count,)) + encode_entries(make_leaves(count))


def _frontier_seeds() -> Iterator[bytes]:
    for size in (0, 1, 7, 2**62):
        roots = b"".join(tree_hash([b"%d" % place]) for place in range(size.bit_count()))
        yield struct.pack(">Q", size) + roots


def _line_seeds() -> Iterator[bytes]:
    for line in parse_note(signed_note()).lines:
        yield format_line(line).removesuffix("\n").encode()


_PROOF_WORDS: Final = (b"c2sp.org/tlog-proof@v1\n", b"extra ", b"index ", b"\n\n", b"\xe2\x80\x94 ")
_POLICY_WORDS: Final = (b"log ", b"witness ", b"group ", b"quorum ", b"none\n", b" any ", b" all ")
_FORMAT_ERRORS: Final = (MalformedError, VerificationError)

TARGETS: Final = (
    Target(
        name="note",
        run=_run_note,
        errors=_FORMAT_ERRORS,
        seeds=lambda: [signed_note()],
        covers=(parse_note, parse_line),
        shape=Shape.TEXT,
        words=_PROOF_WORDS,
        may_show=(VerificationError,),
    ),
    Target(
        name="certified-note",
        run=_run_certified,
        errors=_FORMAT_ERRORS,
        seeds=lambda: [history().note()],
        covers=(parse_note,),
        shape=Shape.TEXT,
        words=_PROOF_WORDS,
        may_show=(VerificationError,),
    ),
    Target(
        name="signature-line",
        run=_run_line,
        errors=(MalformedError,),
        seeds=_line_seeds,
        covers=(parse_line,),
        shape=Shape.TEXT,
    ),
    Target(
        name="checkpoint",
        run=_run_checkpoint,
        errors=(MalformedError,),
        seeds=lambda: [
            format_checkpoint(make_checkpoint(grow_to(size).after)) for size in (0, 1, _LEAVES)
        ],
        covers=(parse_checkpoint,),
        shape=Shape.TEXT,
    ),
    Target(
        name="cosignature",
        run=_run_cosignature,
        errors=(MalformedError,),
        seeds=lambda: [_WITNESSES[0].cosign(b"text\n").signature],
        covers=(decode_cosignature,),
    ),
    Target(
        name="vkey",
        run=_run_vkey,
        errors=(MalformedError,),
        seeds=lambda: [format_vkey(log.key).encode() for log in POLICY.logs],
        covers=(parse_vkey,),
        shape=Shape.TEXT,
    ),
    Target(
        name="policy",
        run=_run_policy,
        errors=(MalformedError,),
        seeds=lambda: [format_policy(POLICY), format_policy(_RULE.policy)],
        covers=(parse_policy,),
        shape=Shape.TEXT,
        words=_POLICY_WORDS,
        may_show=(MalformedError,),
    ),
    Target(
        name="tlog-proof",
        run=_run_tlog_proof,
        errors=_FORMAT_ERRORS,
        seeds=lambda: [proof_file(0), proof_file(0, b"extra")],
        covers=(parse_tlog_proof,),
        shape=Shape.TEXT,
        words=_PROOF_WORDS,
        may_show=(VerificationError,),
    ),
    Target(
        name="inclusion-proof",
        run=_run_inclusion,
        errors=_FORMAT_ERRORS,
        seeds=_inclusion_seeds,
        covers=(verify_inclusion,),
    ),
    Target(
        name="consistency-proof",
        run=_run_consistency,
        errors=_FORMAT_ERRORS,
        seeds=_consistency_seeds,
        covers=(verify_consistency,),
    ),
    Target(
        name="consistency-of-any-sizes",
        run=_run_free_consistency,
        errors=_FORMAT_ERRORS,
        seeds=lambda: [struct.pack(">II", 3, 3) + bytes(_HASH_BYTES)],
        covers=(verify_consistency,),
    ),
    Target(
        name="entry-bundle",
        run=_run_entries,
        errors=(MalformedError,),
        seeds=_entry_seeds,
        covers=(decode_entries,),
    ),
    Target(
        name="frontier",
        run=_run_frontier,
        errors=(MalformedError,),
        seeds=_frontier_seeds,
        covers=(parse_frontier,),
    ),
    Target(
        name="tile-path",
        run=_run_tile_path,
        errors=(MalformedError,),
        seeds=lambda: [
            b"tile/0/000",
            b"tile/1/x001/234.p/7",
            b"tile/entries/067",
            b"tile/7/x999/999",
        ],
        covers=(parse_tile_path,),
        shape=Shape.TEXT,
        words=(b"tile/", b"entries/", b"x123/", b".p/", b"256", b"/../", b"%2e", b"\x00"),
    ),
    Target(
        name="text",
        run=_run_text,
        errors=(MalformedError,),
        seeds=lambda: [b"d0", b"d9223372036854775807", b"bAAEC", b"b", b"h" + b"A" * 43 + b"="],
        covers=(parse_decimal, decode_base64, decode_hash),
        shape=Shape.TEXT,
    ),
    Target(
        name="ids",
        run=_run_ids,
        errors=(MalformedError,),
        seeds=lambda: [b"mtown", b"nward-3", b"ccity.example", b"p00000000000000aa"],
        covers=(parse_member_id, parse_name, parse_consortium_name, parse_peer_id),
        shape=Shape.TEXT,
    ),
)
