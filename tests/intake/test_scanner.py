"""That the scanner's spans are what a parser reads; what two could read apart is refused."""

import json

import orjson
import pytest
from caretree.intake.scanner import DEPTH_MAX, resource_spans
from caretree.model.errors import MalformedError
from hypothesis import given
from hypothesis import strategies as st

_TEXT = st.text(max_size=8) | st.sampled_from(['"', "\\", '\\"', "{", "]}", "entry", "resource"])
_VALUES: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)
_RESOURCES = st.dictionaries(_TEXT, _VALUES, max_size=4)
_ENTRIES: st.SearchStrategy[list[dict[str, object]]] = st.lists(
    st.dictionaries(_TEXT.filter(lambda key: key != "resource"), _VALUES, max_size=3).flatmap(
        lambda other: _RESOURCES.map(lambda resource: {**other, "resource": resource})
    )
    | st.just({"request": {"resource": {}}}),
    max_size=4,
)


@given(
    before=st.dictionaries(_TEXT.filter(lambda key: key != "entry"), _VALUES, max_size=3),
    entries=_ENTRIES,
    indent=st.sampled_from([None, 0, 3]),
    ascii_only=st.booleans(),
)
def test_every_span_parses_to_what_the_whole_parses_to(
    before: dict[str, object],
    entries: list[dict[str, object]],
    indent: int | None,
    ascii_only: bool,
) -> None:
    root = {**before, "entry": entries}
    document = json.dumps(root, indent=indent, ensure_ascii=ascii_only).encode()
    spans = resource_spans(document)
    assert [(span.place, orjson.loads(document[span.start : span.end])) for span in spans] == [
        (place, item["resource"]) for place, item in enumerate(entries) if "resource" in item
    ]


def test_escaped_keys_are_the_keys_they_stand_for() -> None:
    document = b'{"\\u0065ntry":[{"resourc\\u0065":{"a":"\\"}"}}]}'
    (span,) = resource_spans(document)
    assert document[span.start : span.end] == b'{"a":"\\"}"}'


def test_only_the_bundles_own_entries_count() -> None:
    inner = b'{"entry":[{"resource":{}}]}'
    document = b'{"x":' + inner + b',"entry":[{"x":' + inner + b',"resource":{"y":1}}]}'
    (span,) = resource_spans(document)
    assert document[span.start : span.end] == b'{"y":1}'


@pytest.mark.parametrize(
    "document",
    [
        b'{"entry":[],"entry":[]}',
        b'{"entry":[{"resource":{"a":1,"b":2,"a":1}}]}',
        b'{"a":1,"\\u0061":2}',
        '{"王":1,"\\u738b":2}'.encode(),
    ],
)
def test_a_key_twice_in_one_object_is_refused(document: bytes) -> None:
    with pytest.raises(MalformedError, match="found one at byte") as caught:
        resource_spans(document)
    assert "王" not in caught.value.message


def test_a_key_again_in_another_object_is_not_refused() -> None:
    assert resource_spans(b'{"a":{"a":[{"a":1},{"a":2}]}}') == ()


def test_nesting_is_taken_to_the_limit_and_refused_above_it() -> None:
    levels = DEPTH_MAX - 1
    assert resource_spans(b'{"a":' + b"[" * levels + b"]" * levels + b"}") == ()
    levels += 1
    with pytest.raises(MalformedError, match="levels of nesting"):
        resource_spans(b'{"a":' + b"[" * levels + b"]" * levels + b"}")
