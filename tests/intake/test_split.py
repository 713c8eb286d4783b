"""What becomes a record, what stands in it, and that a second import finds the same."""

import time
from dataclasses import replace

import orjson
import pytest
from caretree.intake.bundle import BUNDLE_BYTES_MAX
from caretree.intake.errors import NotABundleError, OversizeError
from caretree.intake.split import MEDIA_TYPE, split_bundle
from caretree.model.errors import MalformedError
from caretree.model.limits import CONTENT_BYTES_MAX

from tests.intake.bundles import (
    SYSTEM,
    Json,
    bundle,
    encounter,
    ids_of,
    observation,
    patient,
    resources_of,
    split,
    url,
)


def test_each_encounter_is_a_record_with_what_refers_to_it_and_the_patient_first() -> None:
    first, second = encounter(1), encounter(2)
    data = bundle(
        observation("o1", url(second)),
        first,
        observation("o2", "Encounter/e1"),
        patient(),
        second,
        observation("o3", "Encounter/e2/_history/7"),
    )
    result = split(data)
    assert [ids_of(document) for document in result.documents] == [
        ["p1", "e1", "o2"],
        ["p1", "e2", "o1", "o3"],
    ]
    assert [document.resource_count for document in result.documents] == [3, 4]


def test_any_reference_anywhere_in_a_resource_counts() -> None:
    claim: Json = {
        "resourceType": "Claim",
        "id": "c1",
        "item": [{"sequence": 1}, {"sequence": 2, "encounter": [{"reference": "Encounter/e1"}]}],
    }
    result = split(bundle(patient(), encounter(1), claim))
    assert [ids_of(document) for document in result.documents] == [["p1", "e1", "c1"]]


def test_a_resource_of_several_encounters_goes_with_the_first_in_the_file() -> None:
    data = bundle(
        patient(), encounter(2), encounter(1), observation("o1", "Encounter/e1", "Encounter/e2")
    )
    assert [ids_of(document) for document in split(data).documents] == [
        ["p1", "e2", "o1"],
        ["p1", "e1"],
    ]


def test_an_encounter_that_is_part_of_another_keeps_its_own_record() -> None:
    inner = encounter(2, partOf={"reference": "Encounter/e1"})
    result = split(bundle(patient(), encounter(1), inner))
    assert [ids_of(document) for document in result.documents] == [["p1", "e1"], ["p1", "e2"]]


def test_what_refers_to_no_encounter_follows_in_file_order() -> None:
    data = bundle(
        observation("o1"), patient(), encounter(1), observation("o2", "Encounter/unknown")
    )
    assert [ids_of(document) for document in split(data).documents] == [
        ["p1", "e1"],
        ["p1", "o1", "o2"],
    ]


def test_a_patient_alone_is_a_record() -> None:
    result = split(bundle(patient()))
    assert [ids_of(document) for document in result.documents] == [["p1"]]


def test_bytes_stay_as_received_and_the_record_is_a_collection() -> None:
    resource = b'{ "resourceType" : "Observation",\n "x":{"value":1.50},"\\u0069d":"o1"}'
    data = (
        b'{"type":"message","resourceType":"Bundle","entry":[{"request":{},"resource":'
        + orjson.dumps(patient())
        + b',"fullUrl":"urn:uuid:1"},\r\n{"resource":'
        + resource
        + b"}]}"
    )
    (document,) = split(data).documents
    assert resource in document.content
    assert orjson.loads(document.content) == {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": "urn:uuid:1", "resource": patient()},
            {"resource": orjson.loads(resource)},
        ],
    }
    assert document.media_type == MEDIA_TYPE == "application/fhir+json"


@pytest.mark.parametrize(
    "kind", ["message", "document", "collection", "transaction", "batch", "searchset"]
)
def test_bundles_that_carry_resources_are_taken(kind: str) -> None:
    assert len(split(bundle(patient(), kind=kind)).documents) == 1


@pytest.mark.parametrize("kind", ["history", "transaction-response", "batch-response", "Wang Wei"])
def test_bundles_of_other_types_are_refused(kind: str) -> None:
    with pytest.raises(NotABundleError) as caught:
        split(bundle(patient(), kind=kind))
    assert "Wang" not in caught.value.message


def test_an_entry_without_a_resource_keeps_its_place_and_gives_nothing() -> None:
    document = orjson.loads(bundle(patient(), observation("o1")))
    document["entry"].insert(0, {"request": {"method": "DELETE", "url": "Observation/1"}})
    (record,) = split(orjson.dumps(document)).documents
    assert ids_of(record) == ["p1", "o1"]


def test_the_same_file_gives_the_same_records() -> None:
    data = bundle(patient(), encounter(1), observation("o1"), observation("o2", "Encounter/e1"))
    assert split(data) == split(data)


def test_a_named_source_system_takes_the_place_of_the_default() -> None:
    data = bundle(patient(), encounter(1), observation("o1"))
    default, named = split(data), split(data, source_system="urn:centre:his")
    assert {document.source_system for document in named.documents} == {"urn:centre:his"}
    assert [replace(item, source_system="") for item in named.documents] == [
        replace(item, source_system="") for item in default.documents
    ]


def _sized_record(padding: int) -> bytes:
    return bundle(patient(), encounter(1), observation("o1", "Encounter/e1", padding=padding))


def test_a_record_of_exactly_the_limit_is_one_and_one_byte_more_makes_two() -> None:
    (small,) = split(_sized_record(1)).documents
    fill = CONTENT_BYTES_MAX - len(small.content) + 1
    (whole,) = split(_sized_record(fill)).documents
    assert len(whole.content) == CONTENT_BYTES_MAX
    parts = split(_sized_record(fill + 1)).documents
    assert [ids_of(part) for part in parts] == [["p1", "e1"], ["p1", "o1"]]
    assert [(part.part, part.parts) for part in parts] == [(0, 2), (1, 2)]


def test_a_large_encounter_becomes_parts_of_one_document_each_begun_by_the_patient() -> None:
    members = [observation(f"o{n}", "Encounter/e1", padding=60_000) for n in range(10)]
    parts = split(bundle(patient(), encounter(1), *members)).documents
    assert len({(part.source_system, part.source_id) for part in parts}) == 1
    assert [part.part for part in parts] == list(range(len(parts))) == [0, 1, 2]
    assert all(len(part.content) <= CONTENT_BYTES_MAX for part in parts)
    assert all(ids_of(part)[0] == "p1" for part in parts)
    assert [name for part in parts for name in ids_of(part)[1:]] == [
        "e1",
        *(f"o{n}" for n in range(10)),
    ]


def test_a_large_rest_becomes_parts_of_whole_resources() -> None:
    others = [observation(f"o{n}", padding=100_000) for n in range(5)]
    parts = split(bundle(patient(), *others)).documents
    names = [ids_of(part) for part in parts]
    assert names == [["p1", "o0", "o1"], ["p1", "o2", "o3"], ["p1", "o4"]]
    assert len({(part.source_system, part.source_id) for part in parts}) == 1
    assert [(part.part, part.parts) for part in parts] == [(0, 3), (1, 3), (2, 3)]


def test_a_resource_alone_at_the_limit_is_taken_and_one_byte_more_is_refused_by_name() -> None:
    (small,) = split(bundle(patient(), observation("o1", padding=1))).documents
    fill = CONTENT_BYTES_MAX - len(small.content) + 1
    whole = split(bundle(patient(), observation("o1", padding=fill), observation("o2")))
    assert not whole.refused
    assert len(whole.documents[0].content) == CONTENT_BYTES_MAX

    result = split(bundle(patient(), observation("o1", padding=fill + 1), observation("o2")))
    (refused,) = result.refused
    assert (refused.resource_type, refused.place) == ("Observation", 1)
    assert refused.content_bytes == CONTENT_BYTES_MAX + 1
    assert refused.reason() == (
        "Observation at entry[1] needs a record of 262145 bytes, at most 262144 are taken"
    )
    assert [ids_of(document) for document in result.documents] == [["p1", "o2"]]


def test_an_encounter_too_large_is_refused_and_what_refers_to_it_stays_its_document() -> None:
    large = encounter(1, text={"div": "x" * CONTENT_BYTES_MAX})
    result = split(bundle(patient(), large, observation("o1", "Encounter/e1")))
    assert [(item.resource_type, item.place) for item in result.refused] == [("Encounter", 1)]
    (document,) = result.documents
    assert (ids_of(document), document.source_id) == (["p1", "o1"], url(large))


def test_a_patient_too_large_for_a_record_refuses_the_file() -> None:
    with pytest.raises(OversizeError, match=r"Patient at entry\[0\]"):
        split(bundle(patient(photo=[{"data": "A" * CONTENT_BYTES_MAX}])))


def test_a_file_above_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(OversizeError):
        split(b" " * (BUNDLE_BYTES_MAX + 1))


def test_nothing_of_a_patient_is_in_the_repr_of_a_result() -> None:
    secret = patient(identifier=[{"system": SYSTEM, "value": "SECRET-1"}])
    shown = repr(split(bundle(secret, {"resourceType": "Encounter", "id": "SECRET-2"})))
    assert "SECRET" not in shown


def test_a_name_in_another_encoding_is_taken_when_the_encoding_is_named() -> None:
    data = bundle(patient(name=[{"text": "王小明"}])).decode().encode("gb18030")
    result = split_bundle(data, identifier_systems=[SYSTEM], encoding="GB18030")
    assert resources_of(result.documents[0])[0]["name"] == [{"text": "王小明"}]


def test_a_byte_order_mark_is_no_part_of_the_record() -> None:
    data = bundle(patient())
    assert split(b"\xef\xbb\xbf" + data) == split(data)


def test_a_wrong_shape_names_the_element() -> None:
    document = orjson.loads(bundle(patient()))
    document["entry"].append({"resource": "Observation"})
    with pytest.raises(MalformedError) as caught:
        split(orjson.dumps(document))
    assert caught.value.field == "Bundle.entry[1].resource"


def test_a_bundle_of_1_7_mb_is_split_within_150_ms() -> None:
    observations = [observation(f"o{n}", f"Encounter/e{n % 40}", padding=200) for n in range(3800)]
    data = bundle(patient(), *(encounter(n) for n in range(40)), *observations)
    assert 1_600_000 < len(data) < 1_900_000
    taken_s: list[float] = []
    for _ in range(5):  # the machine is shared: the best of five is what the code costs
        begun = time.perf_counter()
        assert len(split(data).documents) == 40
        taken_s.append(time.perf_counter() - begun)
    assert min(taken_s) < 0.15
