"""One file proves a leaf: read in one spelling, verified step by step."""

from dataclasses import replace

import pytest
from caretree.merkle.checkpoint import format_checkpoint
from caretree.merkle.hashing import leaf_hash
from caretree.merkle.keys import SignatureType
from caretree.merkle.note import BadSignatureError, Note, format_note
from caretree.merkle.policy import Group, Log, Policy, QuorumError, Witness
from caretree.merkle.proof import prove_inclusion
from caretree.merkle.shape import TREE_SIZE_MAX
from caretree.merkle.text import encode_base64
from caretree.merkle.tlog_proof import (
    PROOF_HASHES_MAX,
    TLOG_PROOF_BYTES_MAX,
    TlogProof,
    format_tlog_proof,
    parse_tlog_proof,
    verify_tlog_proof,
)
from caretree.merkle.verify import InclusionError, MalformedProofError
from caretree.model.errors import MalformedError
from caretree.model.ids import Digest, LeafIndex

from tests.merkle.builders import (
    check_signature,
    cosigner,
    grow_to,
    log_signer,
    make_checkpoint,
    make_leaves,
)

GROWTH = grow_to(13)
LEAVES = make_leaves(13)
TEXT = format_checkpoint(make_checkpoint(GROWTH.after))
NOTE = Note(text=TEXT, lines=(log_signer().sign(TEXT), cosigner(0).cosign(TEXT, 77)))
POLICY = Policy(
    logs=(Log(key=log_signer().verifier(SignatureType.NOTE), url=None),),
    witnesses=tuple(
        Witness(name=f"w{n}", key=cosigner(n).verifier(SignatureType.COSIGNATURE), url=None)
        for n in range(2)
    ),
    groups=(Group(name="g", threshold=1, members=("w0", "w1")),),
    quorum="g",
)


def proof_of(index: int, extra: bytes = b"") -> TlogProof:
    hashes = prove_inclusion(index=LeafIndex(index), size=GROWTH.after.size, fetch=GROWTH.node)
    return TlogProof(extra=extra, index=LeafIndex(index), hashes=hashes, note=NOTE)


@pytest.mark.parametrize("extra", [b"", b"\0", b"leaf, body and salt" * 100])
def test_a_proof_comes_back_and_verifies_for_every_leaf(extra: bytes) -> None:
    for index in range(13):
        proof = parse_tlog_proof(format_tlog_proof(proof_of(index, extra)))
        assert proof == proof_of(index, extra)
        verified = verify_tlog_proof(
            proof, leaf_hash=leaf_hash(LEAVES[index]), policy=POLICY, check=check_signature
        )
        assert verified.checkpoint.size == 13
        assert [(w.name, w.time_s) for w in verified.witnesses] == [("w0", 77)]


def test_the_file_has_the_lines_of_the_format_and_the_checkpoint_verbatim() -> None:
    proof = proof_of(4, b"extra")
    lines = format_tlog_proof(proof).decode().split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra ZXh0cmE=", "index 4"]
    assert lines[3:7] == [encode_base64(value) for value in proof.hashes]
    assert lines[7] == ""
    assert "\n".join(lines[8:]).encode() == format_note(NOTE)


def test_another_leaf_another_index_or_a_missing_hash_is_not_proven() -> None:
    proof = proof_of(4)
    for spoilt, leaf in [
        (proof, LEAVES[5]),
        (replace(proof, index=LeafIndex(5)), LEAVES[4]),
        (replace(proof, hashes=proof.hashes[:-1]), LEAVES[4]),
        (replace(proof, hashes=(*proof.hashes, proof.hashes[0])), LEAVES[4]),
        (replace(proof, hashes=proof.hashes[::-1]), LEAVES[4]),
    ]:
        with pytest.raises(InclusionError):
            verify_tlog_proof(
                spoilt, leaf_hash=leaf_hash(leaf), policy=POLICY, check=check_signature
            )
    with pytest.raises(MalformedProofError):
        verify_tlog_proof(
            replace(proof, index=LeafIndex(13)),
            leaf_hash=leaf_hash(LEAVES[4]),
            policy=POLICY,
            check=check_signature,
        )


def test_a_good_inclusion_under_too_few_or_bad_signatures_is_refused() -> None:
    proof = proof_of(4)
    log_line = NOTE.lines[0]
    alone = replace(proof, note=Note(text=TEXT, lines=(log_line,)))
    with pytest.raises(QuorumError):
        verify_tlog_proof(
            alone, leaf_hash=leaf_hash(LEAVES[4]), policy=POLICY, check=check_signature
        )
    bent = replace(log_line, signature=bytes(64))
    with pytest.raises(BadSignatureError):
        verify_tlog_proof(
            replace(proof, note=Note(text=TEXT, lines=(bent, NOTE.lines[1]))),
            leaf_hash=leaf_hash(LEAVES[4]),
            policy=POLICY,
            check=check_signature,
        )


HEAD = "c2sp.org/tlog-proof@v1\n"
HASH = encode_base64(bytes(32)) + "\n"
END = "\n" + format_note(NOTE).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEAD,
        f"{HEAD}index 0\n",
        f"{HEAD}index 0\n{HASH}",
        f"{HEAD}{END}",
        f"{HEAD}{HASH}{END}",
        f"index 0\n{END}",
        f"c2sp.org/tlog-proof@v2\nindex 0\n{END}",
        f" {HEAD}index 0\n{END}",
        f"{HEAD}index 0\nextra AA==\n{END}",
        f"{HEAD}extra AA==\n{END}",
        f"{HEAD}extra AA==\nextra AA==\nindex 0\n{END}",
        f"{HEAD}extra \nindex 0\n{END}",
        f"{HEAD}extra\nindex 0\n{END}",
        f"{HEAD}extra AB==\nindex 0\n{END}",
        f"{HEAD}index 00\n{END}",
        f"{HEAD}index -1\n{END}",
        f"{HEAD}index\n{END}",
        f"{HEAD}index {2**63 - 1}\n{END}",
        f"{HEAD}index 0\nindex 1\n{END}",
        f"{HEAD}index 0\n{HASH[:-2]}\n{END}",
        f"{HEAD}index 0\n{encode_base64(bytes(31))}\n{END}",
        f"{HEAD}index 0\r\n{END}",
        f"{HEAD}index 0\n\u00e9\n{END}",
        f"{HEAD}index 0\n\n{END}",
        f"{HEAD}\nindex 0\n{END}",
        f"{HEAD}index 0\n{END}trailing\n",
        f"{HEAD}index 0\n{HASH * (PROOF_HASHES_MAX + 1)}{END}",
    ],
)
def test_every_other_text_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_tlog_proof(text.encode())


def test_the_limits_are_the_height_of_the_largest_tree_and_two_mebibytes() -> None:
    assert TREE_SIZE_MAX.bit_length() == PROOF_HASHES_MAX
    assert TLOG_PROOF_BYTES_MAX == 2 * 1024 * 1024


def test_as_many_hashes_as_the_largest_tree_is_high_are_read() -> None:
    proof = parse_tlog_proof(f"{HEAD}index 0\n{HASH * PROOF_HASHES_MAX}{END}".encode())
    assert proof.hashes == (Digest(bytes(32)),) * PROOF_HASHES_MAX


def test_a_file_beyond_the_largest_length_is_refused_unread() -> None:
    with pytest.raises(MalformedError, match="at most"):
        parse_tlog_proof(bytes(TLOG_PROOF_BYTES_MAX + 1))
    with pytest.raises(MalformedError, match="empty line"):
        parse_tlog_proof(bytes(TLOG_PROOF_BYTES_MAX))
