"""Which files of a folder are read, and what the report says of each."""

from pathlib import Path

import pytest
from caretree.intake.bundle import BUNDLE_BYTES_MAX
from caretree.intake.errors import NoPatientError, OversizeError, PatientsError
from caretree.intake.files import (
    REFUSALS_SHOWN_MAX,
    BundleFile,
    FileOutcome,
    FileStatus,
    bundle_files,
    file_outcome,
    read_bundle_file,
)
from caretree.model.limits import CONTENT_BYTES_MAX

from tests.intake.bundles import bundle, observation, patient, split


def test_json_files_are_found_by_name_and_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in ("b.json", "a.JSON", "sub/c.json", ".d.json", ".git/e.json", "LICENSE", "f.txt"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"{}")
    (tmp_path / "folder.json").mkdir()
    assert [file.name for file in bundle_files(tmp_path)] == ["a.JSON", "b.json", "sub/c.json"]


def test_one_file_may_be_named_itself(tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_bytes(b"{}")
    (file,) = bundle_files(path)
    assert (file.name, read_bundle_file(file)) == ("export", b"{}")


def test_a_file_is_read_at_the_limit_and_refused_above_it(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as sparse:
        sparse.truncate(BUNDLE_BYTES_MAX)
    file = BundleFile(name="large.json", path=path)
    assert len(read_bundle_file(file)) == BUNDLE_BYTES_MAX
    with path.open("wb") as sparse:
        sparse.truncate(BUNDLE_BYTES_MAX + 1)
    with pytest.raises(OversizeError):
        read_bundle_file(file)


def test_every_fate_has_its_row() -> None:
    taken = split(bundle(patient()))
    assert file_outcome("f", taken) == FileOutcome(name="f", status=FileStatus.TAKEN, reason="")
    skipped = file_outcome("f", NoPatientError())
    assert (skipped.status, skipped.reason) == (FileStatus.SKIPPED, "no Patient in the bundle")
    refused = file_outcome("f", PatientsError("two"))
    assert (refused.status, refused.reason) == (FileStatus.REFUSED, "two")


def test_refused_resources_are_named_and_the_others_counted() -> None:
    large = [observation(f"o{n}", padding=CONTENT_BYTES_MAX) for n in range(REFUSALS_SHOWN_MAX + 2)]
    row = file_outcome("f", split(bundle(patient(), *large)))
    assert row.status is FileStatus.PARTLY
    assert row.reason.count("Observation at entry[") == REFUSALS_SHOWN_MAX
    assert row.reason.endswith("; and 2 more")
