"""The examples of the commands' help, run in order against three daemons: the referral walk."""

import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from caretree.cli.examples import COMMANDS

from tests.cli.commands import MEMBERS, TOWN, Ran, caretree, done, init_with_kit, sign
from tests.intake.bundles import bundle, encounter, patient

PATIENT: Final = "999999199001011238"
CONTENT: Final = b'{"resourceType":"Bundle","type":"collection"}'
READY_S: Final = 60.0
STOP_S: Final = 30.0


@pytest.mark.processes
def test_every_example_of_the_help_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ports = _free_ports(2 * len(MEMBERS))
    _run("consortium create")
    code = _init(tmp_path, ports)
    genesis_hash = str(_run("consortium found", "--json").json["hash"])
    _sign_and_import(tmp_path, genesis_hash)
    _run("policy", HASH=genesis_hash)
    _make_principals()
    _run("member renew")
    with _daemons(tmp_path):
        record = _walk(tmp_path)
    _recover(tmp_path, code, genesis_hash, record)


def _init(folder: Path, ports: Sequence[int]) -> str:
    """Every member's directory, the town's by the example at ports of its own; the kit's code."""
    example = shlex.split(COMMANDS["member init"].example)[3:]
    code = ""
    for member, peer, client in zip(MEMBERS, ports[::2], ports[1::2], strict=True):
        named = [member if word == TOWN else word for word in example]
        named[-1] = f"127.0.0.1:{peer}"
        more = ["--client-listen", f"127.0.0.1:{client}", "--http-listen", "none"]
        if member == TOWN:
            code = init_with_kit(folder, *named, *more)
        else:
            done("member", "init", *named, *more, "--no-kit")
    return code


def _sign_and_import(folder: Path, genesis_hash: str) -> None:
    _run("member sign")
    for member in MEMBERS[1:]:
        sign(folder, member).rename(folder / f"{member}.signature")
    _run("member import", HASH=genesis_hash)
    for member in MEMBERS[1:]:
        words = shlex.split(COMMANDS["member import"].example)[1:-1]
        done(*(genesis_hash if word == "HASH" else word for word in words), member)


def _make_principals() -> None:
    _run("member principal")
    for member, name, kind, *roles in (
        (TOWN, "night-shift", "operator"),
        ("hospital", "dr-chen", "person", "physician"),
        ("office", "officer", "person", "auditor"),
    ):
        options = [part for role in roles for part in ("--role", role)]
        done("member", "principal", name, "--kind", kind, *options, "--directory", member)


def _walk(folder: Path) -> str:
    """The record goes in, is opened to the hospital, read there, and closed again; its id."""
    (folder / "check-up.json").write_bytes(CONTENT)
    (folder / "bundles").mkdir()
    number = [{"system": "urn:oid:2.16.156.10011.1.3", "value": PATIENT}]
    (folder / "bundles" / "one.json").write_bytes(bundle(patient(identifier=number), encounter(1)))
    record = str(_run("append", "--json").json["record_id"])
    assert _run("import", "--json").json["added"] == 1
    assert _run("import").stdout.startswith("Nothing was added: 1 records were there already")
    hospital = ("history", "--patient", PATIENT, "--client")
    before = caretree(*hospital, "hospital/principals/dr-chen/client.toml", "--json")
    assert (before.status, before.stdout) == (1, "")
    _run("grant")
    _run("grants")
    opened = done(*hospital, "hospital/principals/dr-chen/client.toml", "--json").json["records"]
    assert isinstance(opened, list)
    assert [item["content"].encode() for item in opened if item["record_id"] == record] == [CONTENT]
    _run("history")
    _run("get", RECORD=record)
    assert (folder / "record.json").read_bytes() == CONTENT
    _run("revoke")
    after = caretree(*hospital, "hospital/principals/dr-chen/client.toml")
    assert after.status == 1
    assert "Traceback" not in after.stderr
    kinds = [line.split("\t")[1:3] for line in _run("audit").stdout.splitlines()]
    assert ["reading", "hospital"] in kinds
    assert ["grant", TOWN] in kinds
    _run("receipt", RECORD=record)
    assert _run("verify").stdout.startswith("VERIFIED record.receipt")
    _run("status")
    assert _run("transfer-leadership", "--json").json["leader"]
    return record


def _recover(folder: Path, code: str, genesis_hash: str, record: str) -> None:
    shutil.copytree(folder / TOWN / "data", folder / "copied-data")
    _run("member restore", typed=f"{code}\n", HASH=genesis_hash)
    _run("member open-records")
    assert (folder / "opened" / f"{record}.json").read_bytes() == CONTENT


def _run(path: str, *more: str, typed: str = "", **placeholders: str) -> Ran:
    """The example of a command, its placeholders filled in."""
    words = shlex.split(COMMANDS[path].example)
    assert words.pop(0) == "caretree"
    return done(*(placeholders.get(word, word) for word in words), *more, typed=typed)


@contextmanager
def _daemons(folder: Path) -> Iterator[None]:
    """Each member's daemon, in a process of its own, started by the example of `serve`."""
    running: list[subprocess.Popen[bytes]] = []
    try:
        for member in MEMBERS:
            words = shlex.split(COMMANDS["serve"].example.replace(TOWN, member))[1:]
            start = "from caretree.cli.main import main; main()"
            with (folder / f"{member}.log").open("wb") as log:
                command = [sys.executable, "-c", start, *words]
                running.append(subprocess.Popen(command, cwd=folder, stderr=log))
        _await_quorum()
        yield
        for process in running:
            process.terminate()
        assert [process.wait(timeout=STOP_S) for process in running] == [0] * len(MEMBERS)
    finally:
        for process in running:
            process.kill()
            process.wait()


def _await_quorum() -> None:
    """Return once every peer hears every other one and a leader is known."""
    words = [*shlex.split(COMMANDS["status"].example)[1:], "--json"]
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        ran = caretree(*words)
        peers = ran.json["peers"] if ran.status == 0 else []
        assert isinstance(peers, list)
        if ran.status == 0 and ran.json["leader"] and all(peer["reachable"] for peer in peers):
            return
        time.sleep(0.2)
    pytest.fail("the three daemons did not find together")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports
