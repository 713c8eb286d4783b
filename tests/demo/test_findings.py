"""That a doctor sees the findings of a check-up at a glance."""

import orjson
from caretree.crypto.resident_number import RESIDENT_NUMBER_SYSTEM
from caretree.intake.split import split_bundle

from ops.demo.findings import glance
from ops.demo.residents import DEMO_SEED, bundle_of, residents


def test_a_check_up_shows_its_day_its_kind_and_what_was_measured() -> None:
    resident = next(residents(seed=DEMO_SEED, count=1))
    split = split_bundle(bundle_of(resident), identifier_systems=[RESIDENT_NUMBER_SYSTEM])
    seen = glance(split.documents[0].content)
    check_up = resident.check_ups[0]
    assert seen.day == f"{check_up.begun:%Y-%m-%d}"
    assert seen.kind == "居民健康体检"
    assert f"pressure {check_up.systolic:.4g}/{check_up.diastolic:.4g} mm[Hg]" in seen.findings
    assert f"LDL {check_up.ldl:.4g} mmol/L" in seen.findings
    assert f"glucose {check_up.glucose:.4g} mmol/L" in seen.findings


def test_what_holds_no_visit_shows_what_it_is_made_of() -> None:
    entries = [{"resource": {"resourceType": "Claim"}}, {"resource": {"resourceType": "Patient"}}]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    seen = glance(orjson.dumps(bundle))
    assert (seen.day, seen.kind, seen.findings) == ("", "other documents", "2 resources")


def test_what_is_no_json_shows_its_size() -> None:
    assert glance(b"%PDF-").findings == "5 bytes"


def test_malformed_json_of_any_shape_shows_something() -> None:
    for content in (b"[]", b"3", b"{}", b'{"entry":[{"resource":{"resourceType":"Observation"}}]}'):
        assert glance(content).findings
