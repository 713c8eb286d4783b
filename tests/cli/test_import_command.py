from pathlib import Path

import pytest
from caretree.client.errors import CallFailedError
from caretree.model.reasons import Reason

from tests.cli.commands import caretree, check_refused, done
from tests.cli.fake_client import FakeClient
from tests.intake.bundles import SYSTEM, bundle, encounter, patient

WANG = ("--person", "dr-wang", "--role", "physician")


def test_an_import_reports_and_stops_with_what_to_do(fake: FakeClient, tmp_path: Path) -> None:
    folder = _bundles(tmp_path)
    fake.failure = CallFailedError("gone", code="UNAVAILABLE", reason=Reason.NO_QUORUM)

    ran = caretree(
        *("import", folder, *WANG, "--identifier-system", SYSTEM),
        *("--report", tmp_path / "report.csv"),
    )

    check_refused(ran, "stopped with 0 records acknowledged")
    assert "run the same command again" in ran.stderr
    assert (tmp_path / "report.csv").exists()


def test_an_import_needs_no_peer_to_be_tried_dry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CARETREE_CLIENT", raising=False)
    folder = _bundles(tmp_path)
    (folder / "places.json").write_bytes(bundle({"resourceType": "Location", "id": "l"}))

    ran = done("import", folder, "--dry-run", "--identifier-system", SYSTEM)

    assert ran.stdout.startswith("1 records would be sent\n")
    assert "places.json\tskipped\tno Patient in the bundle" in ran.stdout
    assert not (tmp_path / "bundles.caretree-journal").exists()


def test_an_import_without_a_client_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CARETREE_CLIENT", raising=False)

    check_refused(caretree("import", _bundles(tmp_path)), "no client file is named")


def test_files_not_taken_whole_are_status_1_and_stand_in_the_report(
    fake: FakeClient, tmp_path: Path
) -> None:
    folder = _bundles(tmp_path)
    (folder / "broken.json").write_bytes(b"{")

    ran = caretree(
        *("import", folder, *WANG, "--identifier-system", SYSTEM),
        *("--report", tmp_path / "report.csv"),
    )

    assert ran.status == 1
    assert "1 files were not taken whole" in ran.stderr
    report = (tmp_path / "report.csv").read_text().splitlines()
    assert report[0] == "file,status,reason"
    assert report[1].startswith("broken.json,refused,")
    assert report[2] == "one.json,taken,"
    assert (tmp_path / "report.csv").stat().st_mode & 0o777 == 0o600
    assert len(fake.asked) == 2


def _bundles(tmp_path: Path) -> Path:
    folder = tmp_path / "bundles"
    folder.mkdir()
    (folder / "one.json").write_bytes(bundle(patient(), encounter(1)))
    return folder
