"""Raft, gossip and start-up replay apply blocks in one place: nobody else calls `ledger.apply`."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.shared import PROJECT_ROOT

DAEMON = PROJECT_ROOT / "daemon" / "caretree"


def test_blocks_are_applied_by_the_applier_alone_and_the_genesis_by_the_founding() -> None:
    callers = {
        (name, path.relative_to(DAEMON).as_posix())
        for path in DAEMON.rglob("*.py")
        for name in _names(path)
        if name in {"apply_block", "apply_genesis"}
    }

    assert callers == {
        ("apply_block", "node/applier.py"),
        ("apply_genesis", "node/founding.py"),
    }


def test_the_applier_applies_a_block_at_one_place() -> None:
    assert list(_names(DAEMON / "node" / "applier.py")).count("apply_block") == 1


def _names(path: Path) -> Iterator[str]:
    """Every name that a module reads, whether it calls it or hands it on."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
