import pytest
from caretree.crypto.suite import NewerFormatError, UnknownSuiteError
from caretree.ledger.leaves import (
    ENTRY_LEAF_BYTES,
    NO_MAP_ROOT,
    SEAL_LEAF_BYTES,
    encode_entry_leaf,
    encode_seal_leaf,
    parse_entry_leaf,
    parse_seal_leaf,
)
from caretree.ledger.values import Seal
from caretree.model.errors import MalformedError
from caretree.model.ids import Digest, Height, TimeMs
from hypothesis import given
from hypothesis import strategies as st

COMMITMENT = Digest(bytes(range(32)))
SEAL = Seal(
    height=Height(0x0102),
    time_ms=TimeMs(0x0304),
    membership_epoch=5,
    ledger_version=6,
    block_hash=Digest(b"\xbb" * 32),
    map_root=NO_MAP_ROOT,
)


def test_an_entry_leaf_is_version_kind_suite_and_commitment() -> None:
    leaf = encode_entry_leaf(COMMITMENT)

    assert leaf.hex() == "010101" + COMMITMENT.hex()
    assert len(leaf) == ENTRY_LEAF_BYTES == 35


def test_a_seal_leaf_is_95_bytes_in_the_documented_order() -> None:
    leaf = encode_seal_leaf(SEAL)

    assert leaf.hex() == (
        "010201"
        + "0000000000000102"
        + "0000000000000304"
        + "0000000000000005"
        + "00000006"
        + "bb" * 32
        + "00" * 32
    )
    assert len(leaf) == SEAL_LEAF_BYTES == 95


def test_leaves_are_read_back_as_written() -> None:
    assert parse_entry_leaf(encode_entry_leaf(COMMITMENT)) == COMMITMENT
    assert parse_seal_leaf(encode_seal_leaf(SEAL)) == SEAL


@pytest.mark.parametrize("cut", [-1, 1])
def test_another_length_is_refused(cut: int) -> None:
    for leaf, parse in (
        (encode_entry_leaf(COMMITMENT), parse_entry_leaf),
        (encode_seal_leaf(SEAL), parse_seal_leaf),
    ):
        changed = leaf[:cut] if cut < 0 else leaf + b"\0"
        with pytest.raises(MalformedError, match="expected"):
            parse(changed)


def test_neither_leaf_passes_for_the_other() -> None:
    with pytest.raises(MalformedError, match="expected leaf kind 1, found 2"):
        parse_entry_leaf(encode_seal_leaf(SEAL))
    with pytest.raises(MalformedError, match="expected leaf kind 2, found 1"):
        parse_seal_leaf(encode_entry_leaf(COMMITMENT))


def test_a_newer_leaf_is_named_as_newer_whatever_its_length() -> None:
    with pytest.raises(NewerFormatError):
        parse_entry_leaf(b"\x02\x01\x01" + bytes(40))
    with pytest.raises(NewerFormatError):
        parse_seal_leaf(b"\x02\x02\x01" + bytes(4))


def test_an_unknown_suite_is_refused() -> None:
    with pytest.raises(UnknownSuiteError):
        parse_entry_leaf(b"\x01\x01\x02" + COMMITMENT)
    with pytest.raises(UnknownSuiteError):
        parse_seal_leaf(b"\x01\x02\x02" + encode_seal_leaf(SEAL)[3:])


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_refused_as_malformed(content: bytes) -> None:
    for parse in (parse_entry_leaf, parse_seal_leaf):
        try:
            parse(content)
        except MalformedError:
            continue
        assert content[:1] == b"\x01"
