"""Certificate files of a running peer: read again when they change, and left alone otherwise."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from caretree.cli.certificates import create_authority, issue_peer
from caretree.config.values import TlsFiles
from caretree.node.identity import server_credentials

from tests.ledger.builders import CONSORTIUM, TOWN, founder
from tests.node.test_identity import genesis

Fetch = Callable[[], grpc.ServerCertificateConfiguration | None]


def write_pair(tls: TlsFiles, *, changed_ns: int) -> None:
    now = datetime.now(UTC)
    issued = issue_peer(
        create_authority(consortium=CONSORTIUM, member=TOWN, now=now),
        consortium=CONSORTIUM,
        member=TOWN,
        peer=founder(TOWN).peer.peer,
        now=now,
        key_pem=None,
    )
    tls.peer_certificate.write_bytes(issued.certificate_pem)
    tls.peer_key.write_bytes(issued.key_pem)
    for path in (tls.peer_certificate, tls.peer_key):
        os.utime(path, ns=(changed_ns, changed_ns))


def test_a_handshake_gets_a_configuration_only_after_the_files_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = TlsFiles(peer_certificate=tmp_path / "peer.pem", peer_key=tmp_path / "peer.key")
    write_pair(tls, changed_ns=1_000)
    fetches: list[Fetch] = []

    def note(_initial: object, fetch: Fetch, *, require_client_authentication: bool) -> None:
        assert require_client_authentication
        fetches.append(fetch)

    monkeypatch.setattr(grpc, "dynamic_ssl_server_credentials", note)
    server_credentials(tls, genesis())
    (fetch,) = fetches

    assert [fetch() for _ in range(3)] == [None] * 3
    write_pair(tls, changed_ns=2_000)
    assert isinstance(fetch(), grpc.ServerCertificateConfiguration)
    assert fetch() is None
