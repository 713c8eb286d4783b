import hypothesis.strategies as st
from caretree.crypto import framing
from caretree.crypto.framing import length_prefixed, u32, u64
from hypothesis import given

PARTS = st.lists(st.binary(max_size=8), max_size=4)


def split(framed: bytes) -> list[bytes]:
    """The parts again, read by the layout alone."""
    parts = []
    while framed:
        length = int.from_bytes(framed[:4], "big")
        parts.append(framed[4 : 4 + length])
        framed = framed[4 + length :]
    return parts


@given(PARTS)
def test_joined_parts_can_be_told_apart_again(parts: list[bytes]) -> None:
    assert split(length_prefixed(*parts)) == parts


@given(PARTS, PARTS)
def test_other_parts_give_other_bytes(one: list[bytes], other: list[bytes]) -> None:
    assert (length_prefixed(*one) == length_prefixed(*other)) == (one == other)


def test_the_layout_is_a_big_endian_length_and_the_bytes() -> None:
    assert length_prefixed(b"ab", b"", b"c").hex() == "0000000261620000000000000001" + "63"
    assert u32(258).hex() == "00000102"
    assert u64(258).hex() == "0000000000000102"


def test_every_label_is_used_for_one_purpose() -> None:
    labels = [value for name, value in vars(framing).items() if name.startswith("LABEL_")]
    assert len(labels) == len(set(labels)) > 10
    assert all(label.startswith(b"caretree/v1/") for label in labels)


def test_the_labels_are_the_ones_in_stored_bytes() -> None:
    known = {name: value for name, value in vars(framing).items() if name.startswith("LABEL_")}
    assert {name: label.decode().removeprefix("caretree/v1/") for name, label in known.items()} == {
        "LABEL_LEAF": "leaf",
        "LABEL_CONTENT": "content",
        "LABEL_KEY_ID": "key-id",
        "LABEL_PEER_ID": "peer-id",
        "LABEL_BLOCK": "block",
        "LABEL_BATCH": "batch",
        "LABEL_GENESIS": "genesis",
        "LABEL_INVITATION": "invitation",
        "LABEL_JOIN": "join",
        "LABEL_FOUNDER": "founder",
        "LABEL_RECORD": "record",
        "LABEL_KEYRING_CHAIN": "keyring-chain",
        "LABEL_KEYRING_SEAL": "keyring-seal",
        "LABEL_PSEUDONYM_SEAL": "pseudonym-key-seal",
        "LABEL_KEYSTORE": "keystore",
        "LABEL_KIT": "recovery-kit",
        "LABEL_CODE_CHECK": "recovery-code-check",
        "LABEL_ID_KEY": "id-key",
        "LABEL_DIGEST_KEY": "digest-key",
        "LABEL_SOURCE_IDS": "source-ids",
        "LABEL_DOCUMENT_ID": "document-id",
        "LABEL_RECORD_ID": "record-id",
        "LABEL_REQUEST_DIGEST": "request-digest",
    }
