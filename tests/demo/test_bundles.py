"""That the walk takes any folder of bundles in: by the systems they carry, and whole."""

from pathlib import Path

import orjson
import pytest
from caretree.crypto.resident_number import RESIDENT_NUMBER_SYSTEM
from caretree.intake.files import FileStatus

from ops.demo.bundles import survey, write_residents
from ops.demo.errors import WalkFailedError
from ops.demo.taking_in import Imported, thirds
from tests.shared import shared_path

CARD, BOOK = "urn:example:card", "urn:example:book"


def _write(folder: Path, name: str, *systems: str) -> None:
    identifiers = [{"system": system, "value": name} for system in systems]
    patient = {"resourceType": "Patient", "id": name, "identifier": identifiers}
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": patient}] if systems else [],
    }
    (folder / f"{name}.json").write_bytes(orjson.dumps(bundle))


def test_invented_residents_are_known_by_their_resident_numbers(tmp_path: Path) -> None:
    write_residents(tmp_path / "bundles", count=4)
    taken = survey(tmp_path / "bundles")
    assert taken.identifier_systems == (RESIDENT_NUMBER_SYSTEM,)
    assert (len(taken.files), taken.record_count, taken.outcomes) == (4, 12, ())


def test_as_few_systems_are_chosen_as_name_every_patient(tmp_path: Path) -> None:
    _write(tmp_path, "a", CARD, BOOK)
    _write(tmp_path, "b", BOOK)
    _write(tmp_path, "c", BOOK, CARD)
    assert survey(tmp_path).identifier_systems == (BOOK,)
    _write(tmp_path, "d", CARD)
    assert set(survey(tmp_path).identifier_systems) == {BOOK, CARD}


def test_files_without_a_patient_are_listed_and_the_others_taken(tmp_path: Path) -> None:
    _write(tmp_path, "a", CARD)
    _write(tmp_path, "b")
    taken = survey(tmp_path)
    assert [file.name for file in taken.files] == ["a.json"]
    assert [(item.name, item.status) for item in taken.outcomes] == [("b.json", FileStatus.SKIPPED)]


def test_a_folder_of_nothing_to_take_in_ends_the_walk(tmp_path: Path) -> None:
    with pytest.raises(WalkFailedError, match="no FHIR R4 bundle"):
        survey(tmp_path)


def test_bundles_of_another_system_are_taken_whole() -> None:
    folder = shared_path("data/synthea-r4")
    taken = survey(folder)
    assert len(taken.identifier_systems) == 1
    assert {item.status for item in taken.outcomes} == {FileStatus.SKIPPED}
    assert len(taken.files) + len(taken.outcomes) == len(list(folder.glob("*.json")))


@pytest.mark.parametrize(("total", "expected"), [(900, (300, 600)), (36, (12, 24)), (2, (1, 2))])
def test_kills_fall_at_one_third_and_at_two_thirds(total: int, expected: tuple[int, int]) -> None:
    assert thirds(total) == expected


def test_the_longest_wait_is_sought_between_the_numbers_that_are_given() -> None:
    imported = Imported(acknowledged=5, times=[1.0, 1.5, 4.0, 4.5, 9.5])
    assert imported.longest_wait(after=1, until=4) == 2.5
    assert imported.longest_wait(after=4, until=5) == 5.0
    assert imported.longest_wait(after=5, until=5) == 0.0
