"""By what name an Encounter is known, and that no two are known by one."""

import pytest
from caretree.intake.encounters import FHIR_SYSTEM, URI_SYSTEM
from caretree.intake.errors import EncounterIdentityError
from caretree.model.limits import IDENTIFIER_BYTES_MAX

from tests.intake.bundles import (
    SYSTEM,
    Json,
    bundle,
    encounter,
    keys_of,
    observation,
    patient,
    split,
)

VISIT = "https://centre.example/visit"


def _key(*encounters: dict[str, object], full_urls: bool = True) -> tuple[str, str, int]:
    return keys_of(split(bundle(patient(), *encounters, full_urls=full_urls)))[0]


def test_the_first_identifier_with_system_and_value_comes_first() -> None:
    identifiers = [
        {"value": "no system"},
        {"system": "https://old.example", "value": "1", "use": "old"},
        {"system": VISIT, "value": "V1"},
        {"system": VISIT, "value": "V2"},
    ]
    assert _key(encounter(1, identifier=identifiers)) == (FHIR_SYSTEM, f"{VISIT}|V1", 0)


def test_without_identifier_the_full_url_counts_as_a_uri() -> None:
    assert _key(encounter(1)) == (URI_SYSTEM, "https://centre.example/fhir/Encounter/e1", 0)


def test_a_local_id_counts_within_the_patient() -> None:
    assert _key(encounter(1), full_urls=False) == (FHIR_SYSTEM, f"{SYSTEM}|A-1#Encounter/e1", 0)


def test_the_local_ids_of_two_patients_differ() -> None:
    other = patient(identifier=[{"system": SYSTEM, "value": "A-2"}])
    one = split(bundle(patient(), encounter(1), full_urls=False))
    two = split(bundle(other, encounter(1), full_urls=False))
    assert keys_of(one) != keys_of(two)


def test_an_encounter_without_any_identity_is_refused_by_place() -> None:
    nameless: Json = {"resourceType": "Encounter", "status": "finished"}
    with pytest.raises(EncounterIdentityError, match=r"Encounter at entry\[1\]"):
        split(bundle(patient(), nameless))


@pytest.mark.parametrize(
    "second",
    [
        encounter(2, identifier=[{"system": VISIT, "value": "V1"}]),
        encounter(1, identifier=[{"system": VISIT, "value": "V2"}]),
    ],
    ids=["identifier", "fullUrl"],
)
def test_two_encounters_of_one_identity_are_refused_by_place(second: dict[str, object]) -> None:
    first = encounter(1, identifier=[{"system": VISIT, "value": "V1"}])
    with pytest.raises(EncounterIdentityError, match=r"entry\[2\] and Encounter at entry\[1\]"):
        split(bundle(patient(), first, second))


def test_the_rest_is_known_by_the_patient_and_its_bytes() -> None:
    one, two = (keys_of(split(bundle(patient(), observation(name)))) for name in ("o1", "o2"))
    assert one[0][1].startswith(f"{SYSTEM}|A-1#rest/")
    assert one != two
    assert one == keys_of(split(bundle(patient(), observation("o1"), kind="message")))


def test_the_same_rest_of_two_patients_differs() -> None:
    other = patient(identifier=[{"system": SYSTEM, "value": "A-2"}])
    rest = observation("o1")
    assert keys_of(split(bundle(patient(), rest))) != keys_of(split(bundle(other, rest)))


def test_a_source_id_is_kept_at_the_limit_and_hashed_above_it() -> None:
    fill = IDENTIFIER_BYTES_MAX - len(f"{VISIT}|")
    identifiers = [[{"system": VISIT, "value": "9" * length}] for length in (fill, fill + 1)]
    at_limit, above = (_key(encounter(1, identifier=item))[1] for item in identifiers)
    assert at_limit == f"{VISIT}|{'9' * fill}"
    assert above.startswith("sha-256:")
    assert len(above) < IDENTIFIER_BYTES_MAX
