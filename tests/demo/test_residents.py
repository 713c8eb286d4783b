"""That the demo's residents are invented, plausible, and the same for the same seed."""

from collections import Counter
from statistics import mean

import orjson
import pytest
from caretree.crypto.resident_number import RESIDENT_NUMBER_SYSTEM
from caretree.intake.split import SplitBundle, split_bundle

from ops.demo.check_ups import CHECK_UPS, LOINC, VISIT_SYSTEM
from ops.demo.residents import DEMO_COUNT, DEMO_SEED, Resident, bundle_of, residents
from ops.demo.screening import RULE_TEXT, screen

MEASURED = (
    *("8302-2", "29463-7", "39156-5", "8867-4", "85354-9", "8480-6", "8462-4", "14771-0"),
    *("14647-2", "14646-4", "22748-8", "14927-8", "72166-2", "11524-6"),
)


@pytest.fixture(scope="module", name="town")
def _town() -> list[Resident]:
    return list(residents(seed=DEMO_SEED, count=DEMO_COUNT))


def _split(resident: Resident) -> SplitBundle:
    return split_bundle(bundle_of(resident), identifier_systems=[RESIDENT_NUMBER_SYSTEM])


def test_the_same_seed_makes_the_same_town_and_another_seed_another(town: list[Resident]) -> None:
    again = list(residents(seed=DEMO_SEED, count=DEMO_COUNT))
    assert again == town
    assert [bundle_of(one) for one in again[:20]] == [bundle_of(one) for one in town[:20]]
    assert list(residents(seed=DEMO_SEED + 1, count=5)) != town[:5]


def test_a_longer_list_begins_with_the_shorter(town: list[Resident]) -> None:
    assert list(residents(seed=DEMO_SEED, count=10)) == town[:10]


def test_numbers_are_of_the_unassigned_region_with_right_check_digits(town: list[Resident]) -> None:
    for resident in town:
        number = resident.number
        assert number.startswith("999999")
        assert number[6:14] == f"{resident.born:%Y%m%d}"
        assert (int(number[16]) % 2 == 0) == resident.female
        # ISO 7064 MOD 11-2: the weighted sum over all 18 places, X as ten, leaves 1.
        places = [10 if digit == "X" else int(digit) for digit in number]
        weights = [pow(2, 17 - place, 11) for place in range(18)]
        assert sum(map(int.__mul__, places, weights)) % 11 == 1
    assert len({resident.number for resident in town}) == DEMO_COUNT


def test_names_are_chinese_and_some_lie_beyond_16_bits(town: list[Resident]) -> None:
    names = [resident.family + resident.given for resident in town]
    assert all(2 <= len(name) <= 4 and ord(min(name)) > 0x3400 for name in names)
    assert any(ord(max(name)) > 0xFFFF for name in names)
    assert len(set(names)) > DEMO_COUNT * 0.9


def test_each_resident_gives_three_records_of_one_encounter_each(town: list[Resident]) -> None:
    for resident in town:
        result = _split(resident)
        assert result.patient.value == resident.number
        assert len(result.documents) == CHECK_UPS == 3
        assert {document.parts for document in result.documents} == {1}
        assert [document.source_id for document in result.documents] == [
            f"{VISIT_SYSTEM}|{check_up.visit}" for check_up in resident.check_ups
        ]


def test_no_two_records_of_the_town_share_an_id_or_a_full_url(town: list[Resident]) -> None:
    sources = [document.source_id for one in town for document in _split(one).documents]
    assert len(sources) == len(set(sources)) == DEMO_COUNT * CHECK_UPS
    urls = [item["fullUrl"] for one in town for item in orjson.loads(bundle_of(one))["entry"]]
    assert len(urls) == len(set(urls))


def test_records_are_of_a_real_size(town: list[Resident]) -> None:
    sizes = [len(document.content) for one in town[:50] for document in _split(one).documents]
    assert 6_000 <= min(sizes) <= max(sizes) <= 16_000


def test_a_check_up_holds_what_a_check_up_measures(town: list[Resident]) -> None:
    for document in _split(town[0]).documents:
        found: Counter[str] = Counter()
        for item in orjson.loads(document.content)["entry"]:
            resource = item["resource"]
            for part in (resource, *resource.get("component", [])):
                code = part.get("code", {"coding": []})
                found.update(c["code"] for c in code["coding"] if c["system"] == LOINC)
        assert found == Counter(MEASURED)


def test_resources_refer_to_their_encounter_and_their_patient(town: list[Resident]) -> None:
    for resident in town[:20]:
        entries = orjson.loads(bundle_of(resident))["entry"]
        patient = entries[0]["fullUrl"]
        encounters = {
            item["fullUrl"] for item in entries if item["resource"]["resourceType"] == "Encounter"
        }
        assert len(encounters) == CHECK_UPS
        for item in entries[1:]:
            resource = item["resource"]
            assert item["fullUrl"] == f"urn:uuid:{resource['id']}"
            assert resource["subject"]["reference"] == patient
            if item["fullUrl"] not in encounters:
                assert resource["encounter"]["reference"] in encounters


def test_check_ups_are_a_year_apart_and_in_order(town: list[Resident]) -> None:
    for resident in town:
        years = [check_up.begun.year for check_up in resident.check_ups]
        assert years == [years[0], years[0] + 1, years[0] + 2]


def test_figures_are_possible_and_lipids_agree(town: list[Resident]) -> None:
    for check_up in (item for one in town for item in one.check_ups):
        assert 80 <= check_up.systolic <= 220
        assert 40 <= check_up.diastolic <= check_up.systolic - 20
        assert 15 <= check_up.bmi <= 40
        assert 3.5 <= check_up.glucose <= 12
        friedewald = check_up.cholesterol - check_up.hdl - check_up.triglycerides / 2.2
        assert abs(friedewald - check_up.ldl) < 0.02


def test_pressure_rises_with_age(town: list[Resident]) -> None:
    def mean_systolic(*, older: bool) -> float:
        return mean(
            check_up.systolic
            for one in town
            if (one.born.year < 1970) is older
            for check_up in one.check_ups
        )

    assert mean_systolic(older=True) > mean_systolic(older=False) + 5


def test_screening_finds_some_fifteen_to_thirty_of_the_town(town: list[Resident]) -> None:
    found = [one for one in town if screen([bundle_of(one)]).at_risk]
    assert 15 <= len(found) <= 30


def test_every_sign_of_the_rule_is_seen_in_the_town(town: list[Resident]) -> None:
    signs = {sign for one in town for sign in screen([bundle_of(one)]).signs}
    assert len(signs) == 4
    assert "40 years" in RULE_TEXT
    assert "stand-in" in RULE_TEXT
