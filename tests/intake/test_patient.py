"""Whose bundle it is, and that nobody else's is filed under them."""

import pytest
from caretree.intake.errors import NoIdentifierError, NoPatientError, PatientsError
from caretree.intake.split import split_bundle
from caretree.model.errors import MalformedError

from tests.intake.bundles import SYSTEM, Json, bundle, observation, patient, split, url

NATIONAL = "urn:oid:2.16.156.10011.1.3"
BOTH: list[Json] = [{"system": SYSTEM, "value": "A-1"}, {"system": NATIONAL, "value": "B"}]


def test_the_order_of_accepted_systems_decides_not_that_of_the_file() -> None:
    data = bundle(patient(identifier=[{"system": "urn:b", "value": "2"}, *BOTH]))
    one = split_bundle(data, identifier_systems=[SYSTEM, "urn:b"]).patient
    two = split_bundle(data, identifier_systems=["urn:missing", "urn:b", SYSTEM]).patient
    assert (one.system, one.value) == (SYSTEM, "A-1")
    assert (two.system, two.value) == ("urn:b", "2")


def test_an_identifier_marked_old_is_passed_over() -> None:
    old = {"system": SYSTEM, "value": "OLD", "use": "old"}
    result = split(bundle(patient(identifier=[old, {"system": SYSTEM, "value": "NEW"}])))
    assert result.patient.value == "NEW"


def test_the_value_is_made_uniform() -> None:
    result = split(bundle(patient(identifier=[{"system": SYSTEM, "value": " \uff41-\uff11 "}])))
    assert result.patient.value == "A-1"


def test_a_resident_number_with_a_wrong_check_digit_is_refused_without_showing_it() -> None:
    wrong = patient(identifier=[{"system": NATIONAL, "value": "999999199001010019"}])
    with pytest.raises(MalformedError) as caught:
        split_bundle(bundle(wrong), identifier_systems=[NATIONAL])
    assert caught.value.field == "patient.value"
    assert "1990" not in caught.value.message


def test_no_accepted_identifier_is_refused_with_the_systems_found() -> None:
    found = [
        {"system": "urn:b", "value": "1"},
        {"system": "Wang Xiaoming", "value": "2"},
        {"value": "3"},
    ]
    with pytest.raises(NoIdentifierError) as caught:
        split(bundle(patient(identifier=found)))
    assert caught.value.found == ("urn:b", "(not a URI)")
    assert "urn:b" in caught.value.message
    assert "Wang" not in caught.value.message


def test_a_patient_without_identifiers_is_refused() -> None:
    with pytest.raises(NoIdentifierError, match="systems found: none"):
        split(bundle(patient(identifier=[])))


def test_a_bundle_without_a_patient_says_so() -> None:
    with pytest.raises(NoPatientError):
        split(bundle({"resourceType": "Organization", "id": "1"}))


def test_an_empty_bundle_has_no_patient() -> None:
    with pytest.raises(NoPatientError):
        split(b'{"resourceType":"Bundle","type":"transaction"}')


def test_two_patients_in_one_bundle_are_refused_by_place() -> None:
    with pytest.raises(PatientsError, match=r"Patient at entry\[0\], Patient at entry\[2\]"):
        split(bundle(patient(), observation("o1"), patient(id="p2")))


@pytest.mark.parametrize("key", ["subject", "patient"])
@pytest.mark.parametrize(
    "reference", ["Patient/p2", "https://x.example/fhir/Patient/p2/_history/1"]
)
def test_a_resource_about_another_patient_refuses_the_file(key: str, reference: str) -> None:
    other = observation("o1") | {key: {"reference": reference}}
    with pytest.raises(PatientsError, match=r"Observation at entry\[1\]"):
        split(bundle(patient(), other))


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "Patient/p1"},
        {"reference": "Patient/p1/_history/2"},
        {"reference": url(patient())},
        {"reference": "Group/p2"},
        {"display": "Patient/p2"},
        "Patient/p2",
    ],
)
def test_a_resource_about_this_patient_or_none_is_taken(subject: object) -> None:
    result = split(bundle(patient(), observation("o1") | {"subject": subject}))
    assert result.documents[0].resource_count == 2


@pytest.mark.parametrize("identifier", ["A-1", [["A-1"]], {"system": SYSTEM}, [{"system": 1}]])
def test_identifiers_of_a_wrong_shape_are_refused_by_element(identifier: object) -> None:
    with pytest.raises(MalformedError, match=r"Bundle\.entry\[0\]\.resource\.identifier"):
        split(bundle(patient(identifier=identifier)))
