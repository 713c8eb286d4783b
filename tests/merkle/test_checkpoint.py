"""A checkpoint is three lines in one spelling."""

import pytest
from caretree.merkle.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from caretree.merkle.hashing import EMPTY_ROOT
from caretree.merkle.shape import TREE_SIZE_MAX
from caretree.merkle.text import encode_base64
from caretree.model.errors import MalformedError
from caretree.model.ids import Digest, Origin, TreeSize

from tests.merkle.builders import ORIGIN, some_checkpoint

ROOT = encode_base64(bytes(32))


def test_a_checkpoint_is_origin_size_and_root_a_line_each() -> None:
    checkpoint = Checkpoint(origin=ORIGIN, size=TreeSize(20852163), root=Digest(bytes(32)))
    text = format_checkpoint(checkpoint)
    assert text == f"{ORIGIN}\n20852163\n{ROOT}\n".encode()
    assert parse_checkpoint(text) == checkpoint


@pytest.mark.parametrize("size", [1, TREE_SIZE_MAX])
def test_sizes_up_to_the_largest_come_back(size: int) -> None:
    checkpoint = Checkpoint(origin=ORIGIN, size=TreeSize(size), root=Digest(bytes(32)))
    assert parse_checkpoint(format_checkpoint(checkpoint)) == checkpoint


def test_the_empty_tree_has_its_own_root_and_no_other() -> None:
    empty = Checkpoint(origin=ORIGIN, size=TreeSize(0), root=EMPTY_ROOT)
    assert parse_checkpoint(format_checkpoint(empty)) == empty
    with pytest.raises(MalformedError, match="empty tree"):
        parse_checkpoint(f"{ORIGIN}\n0\n{ROOT}\n".encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"{ORIGIN}\n7\n",
        f"{ORIGIN}\n7\n{ROOT}",
        f"{ORIGIN}\n7\n{ROOT}\nextension\n",
        f"{ORIGIN}\n7\n{ROOT}\nextension",
        f"{ORIGIN}\n7\n{ROOT}\n\n",
        f"\n7\n{ROOT}\n",
        f"two words\n7\n{ROOT}\n",
        f"a+b\n7\n{ROOT}\n",
        f"{ORIGIN}\n07\n{ROOT}\n",
        f"{ORIGIN}\n-7\n{ROOT}\n",
        f"{ORIGIN}\n{2**63}\n{ROOT}\n",
        f"{ORIGIN}\n\n{ROOT}\n",
        f"{ORIGIN}\n7 \n{ROOT}\n",
        f"{ORIGIN}\n7\n{ROOT[:-1]}\n",
        f"{ORIGIN}\n7\n{encode_base64(bytes(31))}\n",
        f"{ORIGIN}\n7\n{bytes(32).hex()}\n",
        f"{ORIGIN}\n7\n\n",
        f"{ORIGIN}\r\n7\r\n{ROOT}\r\n",
    ],
)
def test_every_other_text_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_checkpoint(text.encode())


def test_what_is_not_utf_8_is_refused() -> None:
    with pytest.raises(MalformedError, match="UTF-8"):
        parse_checkpoint(format_checkpoint(some_checkpoint()).replace(b"county", b"\xff"))


@pytest.mark.parametrize("size", [-1, TREE_SIZE_MAX + 1])
def test_no_checkpoint_has_a_size_out_of_bounds(size: int) -> None:
    with pytest.raises(MalformedError, match="tree size"):
        Checkpoint(origin=ORIGIN, size=TreeSize(size), root=Digest(bytes(32)))


def test_no_checkpoint_has_a_short_root_or_an_origin_that_names_no_key() -> None:
    with pytest.raises(MalformedError, match="root"):
        Checkpoint(origin=ORIGIN, size=TreeSize(1), root=Digest(bytes(31)))
    with pytest.raises(MalformedError, match="key name"):
        Checkpoint(origin=Origin("a\nb"), size=TreeSize(1), root=Digest(bytes(32)))
