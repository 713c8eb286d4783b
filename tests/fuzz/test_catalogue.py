"""No parser is left out: whoever adds one adds a target, or says why there is none."""

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from tests.fuzz.catalogue import EXCLUDED, TARGETS
from tests.fuzz.corpus import CORPUS, SEED, kept
from tests.repository import PACKAGE, is_generated, module_name

PREFIXES = ("decode_", "parse_", "read_")
NAMES = frozenset({"decode", "parse"})
FOREIGN = ("bytes", "str", "memoryview", "Path")
CORPUS_BYTES_MAX = 2 * 1024 * 1024
CORPUS_FILE_BYTES_MAX = 64 * 1024


def test_every_public_parser_is_covered_by_a_target_or_excluded_for_a_reason() -> None:
    covered = {_qualified(function) for target in TARGETS for function in target.covers}
    found = set(_parsers())

    assert found - covered - EXCLUDED.keys() == set(), "no target covers these"
    assert EXCLUDED.keys() - found == set(), "excluded, but there is no such parser"
    assert EXCLUDED.keys() & covered == set(), "excluded, and covered all the same"


def test_the_search_finds_functions_methods_and_texts() -> None:
    found = set(_parsers())

    assert "caretree.merkle.note.parse_note" in found
    assert "caretree.merkle.keys.parse_vkey" in found
    assert "caretree.crypto.passphrase.Cost.decode" in found
    assert "caretree.config.deny_list.read_deny_list" in found
    assert len(found) > 60


def test_targets_have_names_of_their_own() -> None:
    counts = Counter(target.name for target in TARGETS)

    assert [name for name, count in counts.items() if count > 1] == []


def test_every_target_has_kept_seeds_and_every_kept_folder_is_a_targets() -> None:
    names = {target.name for target in TARGETS}

    assert [name for name in sorted(names) if not kept(name, SEED)] == []
    assert {folder.name for folder in CORPUS.iterdir() if folder.is_dir()} == names


def test_the_corpus_stays_small() -> None:
    sizes = {path: path.stat().st_size for path in CORPUS.rglob("*.hex")}

    assert sum(sizes.values()) <= CORPUS_BYTES_MAX
    assert [path.name for path, size in sizes.items() if size > CORPUS_FILE_BYTES_MAX] == []


def _qualified(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _parsers() -> Iterator[str]:
    """Public functions and methods that by their name parse, and take bytes, a text or a path."""
    for path in PACKAGE.rglob("*.py"):
        if is_generated(path):
            continue
        module = module_name(path)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and _is_parser(node):
                yield f"{module}.{node.name}"
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                methods = (item for item in node.body if isinstance(item, ast.FunctionDef))
                yield from (f"{module}.{node.name}.{m.name}" for m in methods if _is_parser(m))


def _is_parser(function: ast.FunctionDef) -> bool:
    if not (function.name.startswith(PREFIXES) or function.name in NAMES):
        return False
    arguments = function.args
    taken = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    annotations = [ast.unparse(one.annotation) for one in taken if one.annotation is not None]
    return any(kind in annotation for annotation in annotations for kind in FOREIGN)
