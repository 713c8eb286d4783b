"""Certificate files of a running peer: read again when they change, and left alone otherwise."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from caretree.cli.certificates import Authority, Issued, create_authority, issue_peer
from caretree.config.values import TlsFiles
from caretree.model.ids import MemberId
from caretree.node.identity import server_credentials
from caretree.telemetry.logs import build_logger
from caretree.telemetry.metrics import Metrics
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from prometheus_client import CollectorRegistry

from tests.ledger.builders import CONSORTIUM, HOSPITAL, TOWN, founder
from tests.node.test_identity import authorities, genesis

Fetch = Callable[[], grpc.ServerCertificateConfiguration | None]


def issued(*, member: MemberId = TOWN, by: Authority | None = None) -> Issued:
    return issue_peer(
        by or authorities()[member],
        consortium=CONSORTIUM,
        member=member,
        peer=founder(member).peer.peer,
        now=datetime.now(UTC),
        key_pem=None,
    )


def write_pair(tls: TlsFiles, pair: Issued, *, changed_ns: int) -> None:
    tls.peer_certificate.write_bytes(pair.certificate_pem)
    tls.peer_key.write_bytes(pair.key_pem)
    for path in (tls.peer_certificate, tls.peer_key):
        os.utime(path, ns=(changed_ns, changed_ns))


class Handshakes:
    """The credentials of a server, whose handshakes ask for what to show."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.tls = TlsFiles(peer_certificate=folder / "peer.pem", peer_key=folder / "peer.key")
        write_pair(self.tls, issued(), changed_ns=1_000)
        self.metrics = Metrics(CollectorRegistry())
        self.lines: list[bytes] = []
        fetches: list[Fetch] = []

        def note(_initial: object, fetch: Fetch, *, require_client_authentication: bool) -> None:
            assert require_client_authentication
            fetches.append(fetch)

        patch.setattr(grpc, "dynamic_ssl_server_credentials", note)
        log = build_logger(self.lines.append, level="info")
        server_credentials(self.tls, genesis(), metrics=self.metrics, log=log)
        (self.fetch,) = fetches

    @property
    def failed(self) -> float | None:
        return self.metrics.registry.get_sample_value(
            "caretree_node_reloads_failed_total", {"file": "certificate"}
        )


@pytest.fixture
def handshakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Handshakes:
    return Handshakes(tmp_path, monkeypatch)


def test_a_handshake_gets_a_configuration_only_after_the_files_changed(
    handshakes: Handshakes,
) -> None:
    assert [handshakes.fetch() for _ in range(3)] == [None] * 3
    write_pair(handshakes.tls, issued(), changed_ns=2_000)
    assert isinstance(handshakes.fetch(), grpc.ServerCertificateConfiguration)
    assert handshakes.fetch() is None
    assert handshakes.failed == 0


def test_a_certificate_whose_key_is_not_there_yet_is_not_taken_and_the_whole_pair_is(
    handshakes: Handshakes,
) -> None:
    renewed = issued()
    handshakes.tls.peer_certificate.write_bytes(renewed.certificate_pem)
    assert [handshakes.fetch() for _ in range(3)] == [None] * 3
    assert handshakes.failed == 1
    assert len(handshakes.lines) == 1

    handshakes.tls.peer_key.write_bytes(renewed.key_pem)
    assert isinstance(handshakes.fetch(), grpc.ServerCertificateConfiguration)
    assert handshakes.fetch() is None


def test_a_certificate_of_another_peer_or_authority_is_not_taken(handshakes: Handshakes) -> None:
    stranger = create_authority(consortium=CONSORTIUM, member=TOWN, now=datetime.now(UTC))
    for number, pair in enumerate((issued(member=HOSPITAL), issued(by=stranger)), start=1):
        write_pair(handshakes.tls, pair, changed_ns=1_000 + number)
        assert handshakes.fetch() is None
        assert handshakes.failed == number


def test_a_key_under_a_passphrase_is_not_taken(handshakes: Handshakes) -> None:
    renewed = issued()
    key = load_pem_private_key(renewed.key_pem, password=None)
    locked = BestAvailableEncryption(b"passphrase")
    handshakes.tls.peer_certificate.write_bytes(renewed.certificate_pem)
    handshakes.tls.peer_key.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked)
    )

    assert handshakes.fetch() is None
    assert handshakes.failed == 1


@pytest.mark.parametrize("broken", [b"", b"no certificate", b"\xff\xfe", None])
def test_files_that_are_none_leave_those_before_in_use_and_say_so_once(
    handshakes: Handshakes, broken: bytes | None
) -> None:
    key = handshakes.tls.peer_key.read_bytes()
    if broken is None:
        handshakes.tls.peer_certificate.unlink()
    else:
        handshakes.tls.peer_certificate.write_bytes(broken)

    assert [handshakes.fetch() for _ in range(3)] == [None] * 3
    assert handshakes.failed == 1
    (line,) = handshakes.lines
    assert b"the one before is shown" in line
    assert key not in line


def test_a_pair_that_could_not_be_read_is_taken_once_its_rights_are_put_right(
    handshakes: Handshakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_tls: TlsFiles) -> tuple[bytes, bytes]:
        raise PermissionError

    write_pair(handshakes.tls, issued(), changed_ns=2_000)
    handshakes.tls.peer_key.chmod(0o000)
    with monkeypatch.context() as patch:
        patch.setattr("caretree.node.identity._read_pair", refused)
        assert handshakes.fetch() is None
    handshakes.tls.peer_key.chmod(0o600)
    assert isinstance(handshakes.fetch(), grpc.ServerCertificateConfiguration)
    assert handshakes.failed == 1
