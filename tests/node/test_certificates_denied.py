"""The list of certificates that are not let in: in force from its reading on, never lost again."""

import asyncio
from pathlib import Path

import pytest
from caretree.config.errors import ConfigError
from caretree.model.ids import Digest
from caretree.node.deny_list import DenyList, keep_looking
from caretree.telemetry.logs import build_logger
from caretree.telemetry.metrics import Metrics
from prometheus_client import CollectorRegistry

from tests.waiting import until

ONE, TWO = Digest(bytes(range(32))), Digest(b"\xab" * 32)


class Kept:
    """A deny list on a file, with what it counts and logs."""

    def __init__(self, path: Path | None) -> None:
        self.metrics = Metrics(CollectorRegistry())
        self.lines: list[bytes] = []
        log = build_logger(self.lines.append, level="info")
        self.list = DenyList(path, metrics=self.metrics, log=log)

    def named(self) -> list[bool]:
        """Which of the two certificates are denied."""
        return [self.list.names(ONE), self.list.names(TWO)]

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


def put(path: Path, text: str) -> None:
    """The file, replaced as an operator should."""
    aside = path.with_name("aside")
    aside.write_text(text)
    aside.replace(path)


def test_without_a_file_nobody_is_denied() -> None:
    kept = Kept(None)
    kept.list.look()
    assert kept.named() == [False, False]


def test_a_start_with_a_missing_or_a_malformed_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "denied"
    with pytest.raises(ConfigError, match=r"denied: cannot be read"):
        Kept(path)
    put(path, f"{ONE.hex()}\nnobody\n")
    with pytest.raises(ConfigError, match=r"denied:2: expected a SHA-256 fingerprint"):
        Kept(path)


def test_a_changed_list_is_in_force_from_the_next_look_on(tmp_path: Path) -> None:
    path = tmp_path / "denied"
    put(path, ONE.hex())
    kept = Kept(path)
    assert kept.named() == [True, False]
    put(path, f"{ONE.hex()}\n{TWO.hex()}\n")
    assert kept.named() == [True, False]

    kept.list.look()

    assert kept.named() == [True, True]
    assert kept.value("caretree_node_deny_list_certificates") == 2
    put(path, "")
    kept.list.look()
    assert kept.named() == [False, False]
    assert kept.value("caretree_node_reloads_failed_total", file="deny_list") == 0


@pytest.mark.parametrize("broken", ["nobody\n", None])
def test_a_list_that_cannot_be_read_leaves_the_one_before_in_force_and_says_so_once(
    tmp_path: Path, broken: str | None
) -> None:
    path = tmp_path / "denied"
    put(path, ONE.hex())
    kept = Kept(path)
    if broken is None:
        path.unlink()
    else:
        put(path, broken)

    for _ in range(3):
        kept.list.look()

    assert kept.named() == [True, False]
    assert kept.value("caretree_node_reloads_failed_total", file="deny_list") == 1
    assert kept.value("caretree_node_deny_list_certificates") == 1
    (line,) = kept.lines
    assert b"the one before stays in force" in line
    assert (b"denied:1: expected" if broken else b"cannot be read") in line
    put(path, TWO.hex())
    kept.list.look()
    assert kept.named() == [False, True]


def test_a_list_that_could_not_be_read_for_a_while_is_taken_without_another_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "denied"
    put(path, ONE.hex())
    kept = Kept(path)
    put(path, TWO.hex())

    def refused(path: Path) -> frozenset[Digest]:
        raise ConfigError(path, line=None, key="", expected="cannot be read")

    with monkeypatch.context() as patch:
        patch.setattr("caretree.node.deny_list.read_deny_list", refused)
        for _ in range(2):
            kept.list.look()
    assert kept.named() == [True, False]
    assert len(kept.lines) == 1

    kept.list.look()
    assert kept.named() == [False, True]


@pytest.mark.asyncio
async def test_the_file_is_looked_at_by_itself_and_at_once_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "denied"
    put(path, "")
    kept, asked = Kept(path), asyncio.Event()
    monkeypatch.setattr("caretree.node.deny_list.LOOK_S", 0.02)
    looking = asyncio.create_task(keep_looking(kept.list, asked=asked))
    put(path, ONE.hex())
    await until(lambda: kept.named() == [True, False])

    # Nobody would wait for the next look of its own.
    monkeypatch.setattr("caretree.node.deny_list.LOOK_S", 3600)
    await asyncio.sleep(0.1)
    put(path, TWO.hex())
    asked.set()
    await until(lambda: kept.named() == [False, True])
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
