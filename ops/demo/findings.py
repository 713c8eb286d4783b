"""What a doctor sees of a record at a glance: its date, its kind and the findings that matter."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import orjson

from ops.demo.check_ups import Json

_SYSTOLIC, _DIASTOLIC = "8480-6", "8462-4"
# LOINC codes as they are measured here and elsewhere, and what a doctor calls them.
_MEASURED: Final = {
    "22748-8": "LDL",
    "18262-6": "LDL",
    "2089-1": "LDL",
    "14771-0": "glucose",
    "1558-6": "glucose",
    "39156-5": "BMI",
}
_SMOKING: Final = "72166-2"
_SHOWN_MAX: Final = 8
_TEXT_LENGTH_MAX: Final = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """A record at a glance."""

    day: str
    kind: str
    findings: str


def glance(content: bytes) -> Glance:
    """What the FHIR bundle of a record says at a glance; of other content, its size."""
    try:
        entries = _objects(orjson.loads(content), "entry")
    except orjson.JSONDecodeError:
        return Glance(day="", kind="document", findings=f"{len(content)} bytes")
    resources = [resource for entry in entries for resource in _objects(entry, "resource")]
    encounter = next((item for item in resources if item.get("resourceType") == "Encounter"), None)
    found = list(dict.fromkeys(text for resource in resources for text in _findings(resource)))
    if not found:
        found = [f"{len(resources)} resources"]
    if encounter is None:
        return Glance(day="", kind="other documents", findings=_joined(found))
    period = next(_objects(encounter, "period"), {})
    kind = next((_name(item) for item in _objects(encounter, "type")), "visit")
    return Glance(day=str(period.get("start", ""))[:10], kind=kind, findings=_joined(found))


def _findings(resource: Json) -> Iterator[str]:
    code = next(_objects(resource, "code"), {})
    match resource.get("resourceType"):
        case "Condition":
            yield _name(code)
        case "DiagnosticReport" if isinstance(resource.get("conclusion"), str):
            yield str(resource["conclusion"])
        case "Observation":
            yield from _observation(resource, _codes(code))
        case _:
            pass


def _observation(resource: Json, codes: set[str]) -> Iterator[str]:
    pressures = {
        code: _quantity(part)
        for part in _objects(resource, "component")
        for concept in _objects(part, "code")
        for code in _codes(concept)
    }
    if _SYSTOLIC in pressures and _DIASTOLIC in pressures:
        upper = pressures[_SYSTOLIC].partition(" ")[0]
        yield f"pressure {upper}/{pressures[_DIASTOLIC]}"
    for code in codes & _MEASURED.keys():
        yield f"{_MEASURED[code]} {_quantity(resource)}"
    if _SMOKING in codes:
        yield from (_name(answer) for answer in _objects(resource, "valueCodeableConcept"))


def _quantity(item: Json) -> str:
    quantity = next(_objects(item, "valueQuantity"), {})
    value = quantity.get("value")
    shown = f"{value:.4g}" if isinstance(value, int | float) else "?"
    return f"{shown} {quantity.get('unit', '')}".rstrip()


def _name(concept: Json) -> str:
    """What a person calls it: its text, or else the display of its first code."""
    text = concept.get("text") or next(
        (coding.get("display") for coding in _objects(concept, "coding")), None
    )
    return str(text or "?")[:_TEXT_LENGTH_MAX]


def _codes(concept: Json) -> set[str]:
    return {str(coding.get("code")) for coding in _objects(concept, "coding")}


def _joined(found: list[str]) -> str:
    more = len(found) - _SHOWN_MAX
    return "; ".join(found[:_SHOWN_MAX]) + (f"; and {more} more" if more > 0 else "")


def _objects(parent: object, key: str) -> Iterator[Json]:
    """The objects under a key, whether it holds one or a list of them."""
    value = parent.get(key) if isinstance(parent, dict) else None
    if isinstance(value, dict):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))
