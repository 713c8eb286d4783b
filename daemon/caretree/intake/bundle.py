"""A FHIR bundle's bytes as its resources: meaning from the parser, bytes from the scanner."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NewType, TypeAlias

import orjson

from caretree.intake.errors import NotABundleError, OversizeError
from caretree.intake.resource_types import show_type
from caretree.intake.scanner import resource_spans
from caretree.model.errors import MalformedError
from caretree.model.limits import MIB

BUNDLE_BYTES_MAX = 64 * MIB

JsonObject: TypeAlias = dict[str, object]
EntryPlace = NewType("EntryPlace", int)  # the index in Bundle.entry, from 0

_TAKEN_TYPES: Final = frozenset(
    ("message", "document", "collection", "transaction", "batch", "searchset")
)
_OTHER_TYPES: Final = frozenset(("history", "transaction-response", "batch-response"))
_LINE_END: Final = re.compile(rb"\r?\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource of a bundle; `content` is its bytes as received, `meaning` what they say."""

    place: EntryPlace
    resource_type: str
    resource_id: str | None = field(repr=False)
    full_url: str | None = field(repr=False)
    meaning: JsonObject = field(repr=False)
    content: bytes = field(repr=False)

    def show(self) -> str:
        """Type and place: what a report may say of a resource."""
        return f"{show_type(self.resource_type)} at entry[{self.place}]"


def parse_bundle(document: bytes) -> tuple[Resource, ...]:
    """The resources of a bundle in file order; entries without a resource (a deletion) have none.

    Raises:
        OversizeError: more than BUNDLE_BYTES_MAX.
        MalformedError: not JSON (naming the byte, counted after a byte order mark), a key twice,
            nested too deep, or an entry that is not what FHIR says.
        NotABundleError: another resource, a bundle of another type, XML, several documents.
    """
    check_bundle_size(len(document))
    root = _parse_json(document)
    _check_bundle_type(root)
    meanings = _meanings(objects_at(root, "entry", within="Bundle"))
    spans = resource_spans(document)
    assert [span.place for span in spans] == list(meanings)
    return tuple(
        _read_resource(
            entry=entry,
            meaning=meaning,
            place=EntryPlace(span.place),
            content=document[span.start : span.end],
        )
        for span, (entry, meaning) in zip(spans, meanings.values(), strict=True)
    )


def check_bundle_size(size_bytes: int) -> None:
    """Nothing, when a file of this size may be read.

    Raises:
        OversizeError: it may not.
    """
    if size_bytes > BUNDLE_BYTES_MAX:
        raise OversizeError(
            f"the file has {size_bytes} bytes, at most {BUNDLE_BYTES_MAX} are taken"
        )


def objects_at(parent: JsonObject, key: str, *, within: str) -> list[JsonObject]:
    """The objects of the array at `key`; none when the key is absent.

    Raises:
        MalformedError: something else stands there.
    """
    value = parent.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise MalformedError(f"{within}.{key}", "expected an array of objects")
    return value


def string_at(parent: JsonObject, key: str, *, within: str) -> str | None:
    """The string at `key`, or None when the key is absent.

    Raises:
        MalformedError: something else stands there, or an empty string (FHIR has none).
    """
    value = parent.get(key)
    if key not in parent:
        return None
    if not isinstance(value, str) or not value:
        raise MalformedError(f"{within}.{key}", "expected a string")
    return value


def references_in(value: object) -> Iterator[str]:
    """Every `reference` string anywhere in a parsed resource, in no particular order."""
    waiting = [value]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            reference = here.get("reference")
            if isinstance(reference, str):
                yield reference
            waiting.extend(here.values())
        elif isinstance(here, list):
            waiting.extend(here)


def _parse_json(document: bytes) -> JsonObject:
    try:
        root = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        position, text = error.pos, error.doc
    else:
        if not isinstance(root, dict):
            raise NotABundleError("expected a FHIR bundle, found JSON that is not an object")
        return root
    # Outside the handler: the parser's error holds the whole file and would travel as context.
    if not document.strip():
        raise NotABundleError("expected a FHIR bundle, found an empty file")
    if document.lstrip().startswith(b"<"):
        raise NotABundleError("expected FHIR as JSON, found XML")
    if _is_json_by_line(document):
        raise NotABundleError(
            "expected one FHIR bundle, found several JSON documents (newline-delimited)"
        )
    offset = len(text[:position].encode())
    raise MalformedError("bundle", f"expected JSON, found something else at byte {offset}")


def _is_json_by_line(document: bytes) -> bool:
    first, *others = _LINE_END.split(document.strip(), maxsplit=1)
    if not others:
        return False
    try:
        return isinstance(orjson.loads(first), dict)
    except orjson.JSONDecodeError:
        return False


def _check_bundle_type(root: JsonObject) -> None:
    resource_type = string_at(root, "resourceType", within="bundle")
    if resource_type is None:
        raise NotABundleError("expected a FHIR bundle, found JSON without a resourceType")
    if resource_type != "Bundle":
        raise NotABundleError(
            f"expected a FHIR bundle, found a bare {show_type(resource_type)}: "
            "put the patient and what belongs to them into one bundle"
        )
    bundle_type = string_at(root, "type", within="Bundle")
    if bundle_type not in _TAKEN_TYPES:
        shown = bundle_type if bundle_type in _OTHER_TYPES else "another"
        raise NotABundleError(
            f"expected a bundle of type {', '.join(sorted(_TAKEN_TYPES))}, found {shown}"
        )


def _meanings(entries: list[JsonObject]) -> dict[int, tuple[JsonObject, JsonObject]]:
    """Each entry that has a resource, and that resource, by place."""
    meanings: dict[int, tuple[JsonObject, JsonObject]] = {}
    for place, entry in enumerate(entries):
        if "resource" not in entry:
            continue
        meaning = entry["resource"]
        if not isinstance(meaning, dict):
            raise MalformedError(f"Bundle.entry[{place}].resource", "expected an object")
        meanings[place] = (entry, meaning)
    return meanings


def _read_resource(
    *, entry: JsonObject, meaning: JsonObject, place: EntryPlace, content: bytes
) -> Resource:
    within = f"Bundle.entry[{place}]"
    resource_type = string_at(meaning, "resourceType", within=f"{within}.resource")
    if resource_type is None:
        raise MalformedError(f"{within}.resource.resourceType", "expected a resource type")
    return Resource(
        place=place,
        resource_type=resource_type,
        resource_id=string_at(meaning, "id", within=f"{within}.resource"),
        full_url=string_at(entry, "fullUrl", within=within),
        meaning=meaning,
        content=content,
    )
