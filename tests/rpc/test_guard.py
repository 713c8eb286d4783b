"""What the guard remembers of a certificate, and for how long."""

import pytest
from caretree.model.reasons import CallError, Reason
from caretree.rpc.guard import Guard, answer_by

from tests.certificates import KeyPair
from tests.ledger.builders import TOWN
from tests.rpc.serving import DOCTOR, guard_of_town, trusted

STATUS = "/caretree.api.v1.OperationService/GetStatus"


def _admit(guard: Guard, pair: KeyPair, *, tls: bytes = b"TLSv1.3", method: str = STATUS) -> str:
    auth = {"x509_pem_cert": [pair.certificate], "ssl_tls_version": [tls]}
    with guard.admit(method, auth, loop_time=100.0, remaining_s=5.0) as caller:
        return caller.principal.name


def test_certificates_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caretree.node.admission.KNOWN_CERTIFICATES_MAX", 2)
    guard = guard_of_town()
    pairs = [trusted().authorities[TOWN].issue_principal(DOCTOR) for _ in range(3)]
    for pair in (*pairs, *pairs):
        assert _admit(guard, pair) == DOCTOR

    assert len(guard._admission._known) == 2


def test_what_is_remembered_of_a_certificate_holds_for_its_tls_version_alone() -> None:
    guard = guard_of_town()
    pair = trusted().authorities[TOWN].issue_principal(DOCTOR)
    _admit(guard, pair)

    with pytest.raises(CallError) as caught:
        _admit(guard, pair, tls=b"TLSv1.2")
    assert caught.value.reason is Reason.NO_CERTIFICATE


def test_a_method_without_a_row_is_refused_to_everybody() -> None:
    pair = trusted().authorities[TOWN].issue_principal(DOCTOR)

    with pytest.raises(CallError) as caught:
        _admit(guard_of_town(), pair, method="/caretree.api.v1.OperationService/Other")
    assert caught.value.reason is Reason.ROLE_NOT_PERMITTED


def test_a_call_is_answered_a_little_before_its_client_gives_up() -> None:
    assert answer_by(100.0, 10.0, longest_s=60.0) == pytest.approx(109.95)
    assert answer_by(100.0, 0.1, longest_s=60.0) == pytest.approx(100.09)
    assert answer_by(100.0, 600.0, longest_s=60.0) == pytest.approx(159.95)
    assert answer_by(100.0, None, longest_s=60.0) == pytest.approx(159.95)


def test_a_peer_that_stops_takes_no_more_calls_but_tells_its_health() -> None:
    guard = guard_of_town(stopping=True)
    pair = trusted().authorities[TOWN].issue_principal(DOCTOR)

    with pytest.raises(CallError) as caught:
        _admit(guard, pair)

    assert caught.value.reason is Reason.STARTING
    assert _admit(guard, pair, method="/grpc.health.v1.Health/Check") == DOCTOR
