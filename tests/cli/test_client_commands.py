import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from caretree.cli.output import Output
from caretree.client.errors import CallFailedError
from caretree.client.values import (
    ActingPerson,
    EntryStatus,
    GrantDescription,
    NewRecord,
    TrailEvent,
)
from caretree.crypto.pseudonym import PatientIdentifier
from caretree.crypto.resident_number import RESIDENT_NUMBER_SYSTEM
from caretree.ledger.values import EntryKind, Purpose, ReplaceReason, Replaces, Role
from caretree.model.ids import TimeMs
from caretree.model.limits import CONTENT_BYTES_MAX
from caretree.model.reasons import FieldViolation, Reason

from tests.cli.commands import caretree, check_refused, done
from tests.cli.fake_client import (
    GRANT,
    POSITION,
    RECORD,
    FakeClient,
    closed_record,
    open_record,
)

NUMBER = "999999199001011238"
NAMED = ("--patient", NUMBER)
WANG = ("--person", "dr-wang", "--role", "physician")
ACTING = ActingPerson(id="dr-wang", role=Role.PHYSICIAN)


def test_a_record_is_appended_for_whom_the_options_name(fake: FakeClient, tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"{}")

    ran = done(
        *("append", tmp_path / "c", *NAMED, *WANG, "--replaces", RECORD.hex()),
        *("--reason", "wrong-patient", "--receipt", tmp_path / "receipt", "--json"),
    )

    record = fake.asked[0]
    assert isinstance(record, NewRecord)
    assert record.content == b"{}"
    assert record.patient == PatientIdentifier(system=RESIDENT_NUMBER_SYSTEM, value=NUMBER)
    assert record.acting == ACTING
    assert record.replaces == Replaces(record_id=RECORD, reason=ReplaceReason.WRONG_PATIENT)
    assert ran.json["record_id"] == RECORD.hex()
    assert ran.json["leaf_index"] == POSITION.leaf_index
    assert (tmp_path / "receipt").read_bytes() == b"receipt\n"
    assert (tmp_path / "receipt").stat().st_mode & 0o777 == 0o600


def test_a_record_that_is_only_committed_has_no_receipt_yet(
    fake: FakeClient, tmp_path: Path
) -> None:
    fake.status = EntryStatus.COMMITTED
    (tmp_path / "c").write_bytes(b"{}")

    ran = done("append", tmp_path / "c", *NAMED, *WANG, "--receipt", tmp_path / "receipt", "--json")

    assert ran.json["status"] == "committed"
    assert ran.json["receipt"] is None
    assert not (tmp_path / "receipt").exists()


def test_a_patient_is_read_from_the_input_or_the_environment(
    fake: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    done("history", "--patient", "-", *WANG, typed=f"urn:example:card|a-1\n{NUMBER}\n")
    monkeypatch.setenv("CARETREE_PATIENT", NUMBER)
    done("history", *WANG)

    assert [item for item in fake.asked if isinstance(item, PatientIdentifier)] == [
        PatientIdentifier(system="urn:example:card", value="A-1"),
        PatientIdentifier(system=RESIDENT_NUMBER_SYSTEM, value=NUMBER),
    ]


def test_a_mistyped_number_is_refused_without_being_shown_or_sent(fake: FakeClient) -> None:
    wrong = NUMBER[:-1] + ("0" if NUMBER[-1] != "0" else "1")

    ran = caretree("history", "--patient", wrong, *WANG)

    check_refused(ran, "expected the check digit")
    assert wrong not in ran.stderr
    assert fake.connected == 0


def test_content_comes_from_the_input_and_is_bounded(fake: FakeClient) -> None:
    done("append", *NAMED, *WANG, typed="x" * CONTENT_BYTES_MAX)
    check_refused(
        caretree("append", *NAMED, *WANG, typed="x" * (CONTENT_BYTES_MAX + 1)),
        "the content is larger than 262144 bytes",
    )

    (record,) = (item for item in fake.asked if isinstance(item, NewRecord))
    assert len(record.content) == CONTENT_BYTES_MAX


def test_a_larger_file_is_refused_by_name(fake: FakeClient, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (CONTENT_BYTES_MAX + 1))

    check_refused(caretree("append", tmp_path / "large", *NAMED), "is larger than 262144 bytes")
    assert fake.connected == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("append", "-", "--patient", "-"), "cannot both come from the input"),
        (("append", "no-such-file", *NAMED), "cannot be read"),
        (("append", "-", *NAMED, "--replaces", "00" * 16), "belong together"),
        (("get", "12", "--out", "x"), "record: expected 32 hex digits"),
        (("grant", "--to", "hospital", *NAMED), "a grant is for somebody"),
        (
            ("grant", "--to", "hospital", "--to-role", "nurse", *NAMED, "--until", "soon"),
            "--until: expected a day",
        ),
        (
            ("grant", "--to", "hospital", "--to-role", "nurse", *NAMED, "--until", "9999-12-31"),
            "--until: expected a day",
        ),
        (("revoke", *NAMED), "either a grant or a member has to be named"),
        (("receipt", "--out", "x"), "exactly one entry has to be named"),
        (("import", "no-such-folder"), "is not there"),
    ],
)
def test_what_is_wrong_is_said_before_anybody_is_called(
    fake: FakeClient, arguments: tuple[str, ...], said: str
) -> None:
    check_refused(caretree(*arguments), said)
    assert fake.connected == 0


def test_a_refusal_of_the_peer_is_one_line_with_the_next_step(fake: FakeClient) -> None:
    fake.failure = CallFailedError(
        "No majority of voters can be reached.",
        code="UNAVAILABLE",
        reason=Reason.NO_QUORUM,
        retry_after_ms=500,
    )

    ran = caretree("history", *NAMED, *WANG)

    check_refused(ran, "No majority of voters can be reached.")
    assert "with the same request id" in ran.stderr
    assert "wait 0.5 s" in ran.stderr


def test_a_refusal_names_the_fields_and_is_json_for_a_program(fake: FakeClient) -> None:
    violation = FieldViolation(field="records[3].patient.system", description="expected another")
    fake.failure = CallFailedError(
        "A field is wrong; the details name it.",
        code="INVALID_ARGUMENT",
        reason=Reason.INVALID_FIELD,
        violations=(violation,),
    )

    ran = caretree("history", *NAMED, *WANG, "--json")

    error = json.loads(ran.stderr)["error"]
    assert (ran.status, ran.stdout) == (1, "")
    assert error["reason"] == "INVALID_FIELD"
    assert error["message"] == "patient.system: expected another"


def test_a_peer_out_of_reach_is_said_plainly(fake: FakeClient) -> None:
    fake.failure = CallFailedError("connection refused", code="UNAVAILABLE", reason=None)

    check_refused(caretree("history", *NAMED, *WANG), "Check that the peer runs")


def test_a_history_shows_what_is_closed_as_closed(fake: FakeClient, tmp_path: Path) -> None:
    fake.records = (
        open_record(b'{"a":1}', number=1),
        closed_record(),
        open_record(b"", number=2, erased=True),
    )

    ran = done("history", *NAMED, *WANG, "--out", tmp_path / "out")

    rows = [line.split("\t") for line in ran.stdout.splitlines()[1:]]
    assert [row[4] for row in rows] == ["7 bytes", "closed to you", "erased"]
    assert rows[1][2] == ""
    assert '{"a":1}' not in ran.stdout
    files = list((tmp_path / "out").iterdir())
    assert [file.read_bytes() for file in files] == [b'{"a":1}']
    assert files[0].stat().st_mode & 0o777 == 0o600


def test_a_history_is_json_for_a_program(fake: FakeClient) -> None:
    fake.records = (open_record("区".encode()), open_record(b"\xff", number=1), closed_record())

    records = done("history", *NAMED, *WANG, "--json").json["records"]

    assert isinstance(records, list)
    assert records[0]["content"] == "区"
    assert records[1]["content_base64"] == "/w=="
    assert records[2] == {"custodian": "hospital", "time_ms": 1_767_225_600_000, "closed": True}


def test_no_more_records_are_read_than_were_asked_for(fake: FakeClient) -> None:
    fake.records = tuple(open_record(b"{}", number=number) for number in range(7))

    records = done("history", *NAMED, *WANG, "--limit", "3", "--json").json["records"]

    assert isinstance(records, list)
    assert len(records) == 3


def test_a_records_content_leaves_byte_for_byte(fake: FakeClient, tmp_path: Path) -> None:
    content = "1.50 \x1b 区\r\n".encode() + b"\xff"
    fake.records = (open_record(content),)

    done("get", RECORD.hex(), *WANG, "--out", tmp_path / "out")

    assert (tmp_path / "out").read_bytes() == content
    assert fake.asked == [RECORD, ACTING, Purpose.TREATMENT]


def test_an_erased_record_is_said_to_be_erased(fake: FakeClient) -> None:
    fake.records = (open_record(b"", erased=True),)

    check_refused(caretree("get", RECORD.hex(), *WANG), "content was erased")


def test_a_grant_names_whom_it_is_for_and_until_when(fake: FakeClient) -> None:
    ran = done(
        *("grant", "--to", "hospital", "--to-role", "physician", "--to-principal", "dr-chen"),
        *(*NAMED, *WANG, "--until", "2026-12-31", "--purpose", "public-health", "--json"),
    )

    asked = fake.asked[2]
    assert isinstance(asked, dict)
    assert asked["roles"] == [Role.PHYSICIAN]
    assert asked["principals"] == ["dr-chen"]
    assert asked["purpose"] is Purpose.PUBLIC_HEALTH
    end = datetime(2027, 1, 1, tzinfo=UTC)
    assert asked["until_ms"] == int(end.timestamp() * 1000)
    assert ran.json["grant_id"] == GRANT.hex()


def test_grants_are_taken_back_by_id_or_by_member(fake: FakeClient) -> None:
    done("revoke", "--grant", GRANT.hex(), *NAMED, *WANG)
    done("revoke", "--from", "hospital", *NAMED, *WANG)

    first, second = fake.asked[1], fake.asked[3]
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert (first["grant_id"], first["grantee"]) == (GRANT, None)
    assert (second["grant_id"], second["grantee"]) == (None, "hospital")


def test_grants_are_listed_for_people_and_programs(fake: FakeClient) -> None:
    fake.descriptions = (
        GrantDescription(
            grant_id=GRANT,
            custodian="town",
            grantee="hospital",
            roles=frozenset({Role.PHYSICIAN, Role.NURSE}),
            principals=frozenset({"dr-chen"}),
            purpose=Purpose.PUBLIC_HEALTH,
            until_ms=TimeMs(1_767_225_600_000),
            granted_ms=TimeMs(1_767_225_000_000),
            revoked_ms=None,
        ),
    )

    shown = done("grants", *NAMED, *WANG)
    listed = done("grants", *NAMED, *WANG, "--json").json["grants"]

    assert "physician, nurse, dr-chen\tpublic-health" in shown.stdout
    assert isinstance(listed, list)
    assert listed[0]["revoked_ms"] is None


def test_a_trail_shows_who_did_what_and_nobodys_number(fake: FakeClient) -> None:
    fake.events = (
        TrailEvent(
            kind=EntryKind.READING,
            position=POSITION,
            time_ms=TimeMs(1_767_225_600_000),
            member="hospital",
            principal="records",
            person="dr-wang",
            role=Role.PHYSICIAN,
            pseudonyms=(bytes(range(32)),),
            grantee="",
            grant_id=None,
            purpose=Purpose.TREATMENT,
            until_ms=None,
            count=3,
            erased=False,
        ),
    )

    shown = done("audit", *NAMED)

    assert shown.stdout.splitlines()[1].split("\t") == [
        "2026-01-01 00:00:00",
        "reading",
        "hospital",
        "physician dr-wang through records",
        "00010203",
        "",
        "treatment",
        "3",
    ]


def test_a_key_that_others_can_read_is_not_used(fake: FakeClient, tmp_path: Path) -> None:
    (tmp_path / "key.pem").chmod(0o644)

    check_refused(caretree("history", *NAMED, *WANG), "chmod 600")
    assert fake.connected == 0


def test_a_terminal_gets_tables_and_a_pipe_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    output = Output(as_json=False)

    output.table("Peers", ("Peer", "Name"), [("aa", "\x1b[31m区")], data=None)
    output.fields("Title", [("Label", "text")], data={})

    shown = stream.getvalue()
    assert "\x1b[1m" in shown
    assert "\x1b[31m" not in shown
    assert "区" in shown
