"""The same claims on Synthea's bundles and on messages that laboratories sent."""

from collections import Counter
from pathlib import Path

import orjson
import pytest
from caretree.intake.errors import NoIdentifierError, NoPatientError
from caretree.intake.files import bundle_files, read_bundle_file
from caretree.intake.scanner import resource_spans
from caretree.intake.split import SplitBundle, split_bundle
from caretree.model.limits import CONTENT_BYTES_MAX

from tests.intake.bundles import keys_of, resources_of
from tests.shared import shared_path

SYNTHEA = "https://github.com/synthetichealth/synthea"


def _synthea() -> dict[str, bytes]:
    folder = shared_path("data/synthea-r4")
    return {file.name: read_bundle_file(file) for file in bundle_files(folder)}


def _split(data: bytes) -> SplitBundle:
    return split_bundle(data, identifier_systems=[SYNTHEA])


def _with_patient() -> dict[str, bytes]:
    return {name: data for name, data in _synthea().items() if "Information" not in name}


def _received(data: bytes) -> list[bytes]:
    return [data[span.start : span.end] for span in resource_spans(data)]


def test_every_resource_appears_once_byte_for_byte_and_the_patient_in_every_record() -> None:
    files = _with_patient()
    assert len(files) >= 9
    for data in files.values():
        documents = _split(data).documents
        kept = [item for document in documents for item in _received(document.content)]
        received = _received(data)
        assert len(received) == len(orjson.loads(data)["entry"])
        first = next(item for item in received if orjson.loads(item)["resourceType"] == "Patient")
        assert all(_received(document.content)[0] == first for document in documents)
        assert Counter(kept) - Counter({first: len(documents)}) == Counter(received) - Counter(
            {first: 1}
        )


def test_every_encounter_is_a_record_and_nothing_is_above_the_limit() -> None:
    for data in _with_patient().values():
        result = _split(data)
        entries = orjson.loads(data)["entry"]
        kinds = Counter(item["resource"]["resourceType"] for item in entries)
        assert len({key[:2] for key in keys_of(result)}) == kinds["Encounter"] + 1
        assert max(len(document.content) for document in result.documents) <= CONTENT_BYTES_MAX
        assert not result.refused


def test_what_stands_with_an_encounter_refers_to_it() -> None:
    for data in _with_patient().values():
        for document in _split(data).documents[:-1]:
            _, encounter, *others = resources_of(document)
            assert encounter["resourceType"] == "Encounter"
            reference = f'"urn:uuid:{encounter["id"]}"'.encode()
            assert all(reference in orjson.dumps(other) for other in others)


def test_ids_are_stable_and_no_two_records_share_one() -> None:
    files = _with_patient()
    forward = {name: keys_of(_split(data)) for name, data in files.items()}
    backward = {name: keys_of(_split(data)) for name, data in reversed(files.items())}
    assert forward == backward
    keys = [key for own in forward.values() for key in own]
    assert len(keys) == len(set(keys))


def test_files_about_no_patient_say_so() -> None:
    files = {name: data for name, data in _synthea().items() if "Information" in name}
    assert len(files) == 2
    for data in files.values():
        with pytest.raises(NoPatientError):
            _split(data)


@pytest.mark.parametrize(
    "system",
    [
        "http://hospital.smarthealthit.org",
        "http://hl7.org/fhir/sid/us-ssn",
        SYNTHEA,
    ],
)
def test_every_patient_is_known_by_each_system_that_they_carry(system: str) -> None:
    for data in _with_patient().values():
        assert split_bundle(data, identifier_systems=[system]).patient.system == system


def test_messages_of_laboratories_are_taken_or_refused_for_want_of_an_identifier() -> None:
    outcomes: list[int] = []
    folder: Path = shared_path("data/fhir-r4-messages")
    for file in bundle_files(folder):
        data = read_bundle_file(file)
        try:
            result = split_bundle(data, identifier_systems=["urn:id:Winchester_House"])
        except NoIdentifierError:
            continue
        outcomes.append(sum(document.resource_count for document in result.documents))
        assert len(_received(data)) == outcomes[-1]
    assert outcomes == [29]
