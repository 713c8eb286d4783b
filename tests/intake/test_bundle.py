"""That what is no FHIR bundle is refused with a reason a person understands, at the byte."""

import orjson
import pytest
from caretree.intake.bundle import parse_bundle
from caretree.intake.errors import NotABundleError
from caretree.model.errors import MalformedError, RejectedError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.intake.bundles import bundle, encounter, observation, patient, split


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "an empty file"),
        (b" \n", "an empty file"),
        (b"[]", "not an object"),
        (b"{}", "without a resourceType"),
        (b'<Bundle xmlns="http://hl7.org/fhir"/>', "XML"),
        (b'{"resourceType":"Patient","id":"1"}', "a bare Patient"),
        (b'{"resourceType":"Wang Wei"}', "a bare unknown resource"),
        (b'{"resourceType":"Patient"}\n{"resourceType":"Encounter"}\n', "newline-delimited"),
        (b'{"resourceType":"Bundle"}', "found another"),
    ],
)
def test_what_is_no_bundle_is_refused_with_its_reason(document: bytes, reason: str) -> None:
    with pytest.raises(NotABundleError, match=reason):
        parse_bundle(document)


@pytest.mark.parametrize(
    "document",
    [
        b'{"resourceType":"Bundle","x":tru}',
        b'{"resourceType":"Bundle","x":NaN}',
        b'{"resourceType":"Bundle","x":"\\ud800"}',
        b'{"resourceType":"Bundle"',
    ],
)
def test_what_is_no_json_is_refused(document: bytes) -> None:
    with pytest.raises(MalformedError, match="found something else at byte") as caught:
        parse_bundle(document)
    assert caught.value.__context__ is None


def test_the_place_of_bad_json_is_counted_in_bytes() -> None:
    document = '{"name":"王小明",x}'.encode()
    with pytest.raises(MalformedError, match=f"at byte {document.index(b'x')}$"):
        parse_bundle(document)


def test_nesting_beyond_what_a_parser_takes_is_refused() -> None:
    with pytest.raises(RejectedError):
        parse_bundle(b'{"resourceType":"Bundle","type":"batch","entry":' + b"[" * 100_000)


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ({}, "Bundle.entry"),
        (None, "Bundle.entry"),
        ([1], "Bundle.entry"),
        ([{"resource": None}], "Bundle.entry[0].resource"),
        ([{"resource": []}], "Bundle.entry[0].resource"),
        ([{"resource": {}}], "Bundle.entry[0].resource.resourceType"),
        ([{"resource": {"resourceType": 1}}], "Bundle.entry[0].resource.resourceType"),
        ([{"resource": {"resourceType": "Patient", "id": 1}}], "Bundle.entry[0].resource.id"),
        ([{"fullUrl": 1, "resource": {"resourceType": "Patient"}}], "Bundle.entry[0].fullUrl"),
    ],
)
def test_a_wrong_shape_is_refused_by_element(entry: object, field: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_bundle(orjson.dumps({"resourceType": "Bundle", "type": "batch", "entry": entry}))
    assert caught.value.field == field


def test_nothing_of_a_resource_is_in_its_repr() -> None:
    (resource,) = parse_bundle(bundle(patient(id="SECRET", name=[{"text": "SECRET"}])))
    assert "SECRET" not in repr(resource)


_WHOLE = bundle(
    patient(name=[{"text": "王"}]),
    encounter(1, identifier=[{"system": "urn:visit", "value": "1"}]),
    observation("o1", "Encounter/e1"),
    observation("o2"),
)


@settings(max_examples=400)
@given(
    at=st.integers(0, len(_WHOLE)),
    removed=st.integers(0, 40),
    inserted=st.binary(max_size=4)
    | st.sampled_from([b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"1", b'""', b"\\u0000"]),
)
def test_a_mutated_bundle_is_split_or_refused_by_our_error(
    at: int, removed: int, inserted: bytes
) -> None:
    try:
        result = split(_WHOLE[:at] + inserted + _WHOLE[at + removed :])
    except RejectedError:
        return
    for document in result.documents:
        assert orjson.loads(document.content)["type"] == "collection"
