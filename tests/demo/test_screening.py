"""That the printed rule is the rule, at its thresholds and one step below them."""

import orjson
import pytest

from ops.demo.check_ups import LOINC, SNOMED, Json
from ops.demo.screening import screen
from tests.shared import shared_path


def _observation(code: str, value: float, *, day: str, unit: str = "mmol/L") -> Json:
    return {
        "resourceType": "Observation",
        "effectiveDateTime": f"{day}T08:00:00+08:00",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "valueQuantity": {"value": value, "unit": unit},
    }


def _pressure(systolic: int, diastolic: int, *, day: str) -> Json:
    panel = _observation("85354-9", 0, day=day)
    del panel["valueQuantity"]
    panel["component"] = [
        _observation("8480-6", systolic, day=day),
        _observation("8462-4", diastolic, day=day),
    ]
    return panel


def _smokes(code: str, *, day: str) -> Json:
    answer = _observation("72166-2", 0, day=day)
    del answer["valueQuantity"]
    answer["valueCodeableConcept"] = {"coding": [{"system": SNOMED, "code": code}]}
    return answer


def _bundle(*resources: Json, born: str = "1980-06-01") -> bytes:
    patient: Json = {"resourceType": "Patient", "birthDate": born}
    entries = [{"resource": resource} for resource in (patient, *resources)]
    return orjson.dumps({"resourceType": "Bundle", "entry": entries})


DAY = "2024-06-01"
LDL = _observation("22748-8", 4.1, day=DAY)
GLUCOSE = _observation("14771-0", 7.0, day=DAY)


def test_two_signs_at_their_thresholds_are_enough_at_forty() -> None:
    result = screen([_bundle(LDL, GLUCOSE, born="1984-06-01")])
    assert (result.at_risk, result.age) == (True, 40)
    assert result.signs == ("high LDL cholesterol", "high fasting glucose")


def test_a_day_before_forty_is_not_at_risk() -> None:
    assert not screen([_bundle(LDL, GLUCOSE, born="1984-06-02")]).at_risk


@pytest.mark.parametrize(
    "second", [_observation("14771-0", 6.9, day=DAY), _smokes("8517006", day=DAY)]
)
def test_one_sign_is_not_enough(second: Json) -> None:
    assert screen([_bundle(LDL, second)]).signs == ("high LDL cholesterol",)


@pytest.mark.parametrize(("systolic", "diastolic"), [(140, 70), (120, 90)])
def test_pressure_counts_on_two_days_and_not_on_one(systolic: int, diastolic: int) -> None:
    first = _pressure(systolic, diastolic, day=DAY)
    again = _pressure(systolic, diastolic, day="2025-06-01")
    assert screen([_bundle(first, first)]).signs == ()
    assert screen([_bundle(first), _bundle(again)]).signs == ("high blood pressure",)
    below = _pressure(139, 89, day="2025-06-01")
    assert screen([_bundle(first, below)]).signs == ()


def test_the_latest_value_decides_whatever_the_order_of_the_bundles() -> None:
    better = _observation("22748-8", 3.0, day="2025-06-01")
    assert screen([_bundle(better), _bundle(LDL)]).signs == ()


def test_milligrams_are_read_as_millimoles() -> None:
    assert screen([_bundle(_observation("18262-6", 160, day=DAY, unit="mg/dL"))]).signs
    assert not screen([_bundle(_observation("18262-6", 158, day=DAY, unit="mg/dL"))]).signs


def test_who_smokes_shows_the_sign() -> None:
    assert screen([_bundle(_smokes("449868002", day=DAY))]).signs == ("smokes",)


def test_nothing_measured_and_a_year_alone_as_birth_date_are_not_at_risk() -> None:
    assert not screen([_bundle()]).at_risk
    assert not screen([_bundle(LDL, GLUCOSE, born="1950")]).at_risk


def test_the_rule_reads_bundles_of_another_system() -> None:
    ages = [
        screen([file.read_bytes()]).age
        for file in sorted(shared_path("data/synthea-r4").glob("*_*.json"))
    ]
    assert len(ages) >= 9
    assert max(ages) > 20
