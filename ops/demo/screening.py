"""Screening for cardiovascular risk, a stand-in for the centre's own system.

It belongs to the demo's client: Caretree keeps and opens records and judges nobody's health. The
rule is short so that it can be printed, and it is no medical advice.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import orjson

from ops.demo.check_ups import LOINC, SNOMED, Json

AGE_MIN = 40
SIGNS_MIN = 2
SYSTOLIC_MIN, DIASTOLIC_MIN, HIGH_PRESSURE_DAYS_MIN = 140, 90, 2
LDL_MIN_MMOL = 4.1
GLUCOSE_MIN_MMOL = 7.0

RULE_TEXT: Final = f"""\
At cardiovascular risk: at least {AGE_MIN} years old at the latest measurement,
and at least {SIGNS_MIN} of these signs:
  - systolic pressure >= {SYSTOLIC_MIN} or diastolic >= {DIASTOLIC_MIN} mm[Hg]
    on {HIGH_PRESSURE_DAYS_MIN} days or more
  - latest LDL cholesterol >= {LDL_MIN_MMOL} mmol/L
  - latest fasting glucose >= {GLUCOSE_MIN_MMOL} mmol/L
  - smokes, by the latest answer
(a stand-in for the centre's own system; no medical advice)"""

_SYSTOLIC: Final = frozenset(("8480-6",))
_DIASTOLIC: Final = frozenset(("8462-4",))
_LDL: Final = frozenset(("22748-8", "39469-2", "18262-6", "13457-7", "2089-1"))
_GLUCOSE: Final = frozenset(("14771-0", "1558-6"))
_SMOKING: Final = frozenset(("72166-2",))
_SMOKERS: Final = frozenset(("77176002", "449868002", "428041000124106"))
_MG_DL_PER_MMOL: Final = {"ldl": 38.67, "glucose": 18.016}


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """What the rule says of one person: which signs it saw, and whether they are enough."""

    at_risk: bool
    age: int
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """One coded value, of an Observation or of one of its components."""

    day: str
    codes: frozenset[str]
    value: float | None
    unit: str
    answers: frozenset[str]


def screen(bundles: Iterable[bytes]) -> Screening:
    """What the rule says of the one person whom these FHIR bundles are about."""
    resources = [resource for bundle in bundles for resource in _resources(bundle)]
    measured = sorted(
        (item for resource in resources for item in _measured(resource)), key=lambda item: item.day
    )
    born = next(
        (str(item["birthDate"]) for item in resources if item.get("resourceType") == "Patient"), ""
    )
    age = _years_between(born, measured[-1].day) if measured else 0
    signs = tuple(_signs(measured))
    at_risk = age >= AGE_MIN and len(signs) >= SIGNS_MIN
    return Screening(at_risk=at_risk, age=age, signs=signs)


def _signs(measured: Sequence[_Measured]) -> Iterator[str]:
    high_days = {
        item.day
        for codes, limit in ((_SYSTOLIC, SYSTOLIC_MIN), (_DIASTOLIC, DIASTOLIC_MIN))
        for item in measured
        if item.codes & codes and item.value is not None and item.value >= limit
    }
    if len(high_days) >= HIGH_PRESSURE_DAYS_MIN:
        yield "high blood pressure"
    if _latest_mmol(measured, codes=_LDL, kind="ldl") >= LDL_MIN_MMOL:
        yield "high LDL cholesterol"
    if _latest_mmol(measured, codes=_GLUCOSE, kind="glucose") >= GLUCOSE_MIN_MMOL:
        yield "high fasting glucose"
    answers = [item.answers for item in measured if item.codes & _SMOKING]
    if answers and answers[-1] & _SMOKERS:
        yield "smokes"


def _latest_mmol(measured: Sequence[_Measured], *, codes: frozenset[str], kind: str) -> float:
    """The latest value in mmol/L, 0 when there is none."""
    for item in reversed(measured):
        if item.codes & codes and item.value is not None:
            in_mg_dl = item.unit.lower() == "mg/dl"
            return item.value / _MG_DL_PER_MMOL[kind] if in_mg_dl else item.value
    return 0.0


def _years_between(born: str, day: str) -> int:
    try:
        first, last = date.fromisoformat(born), date.fromisoformat(day)
    except ValueError:  # FHIR allows a year or a month alone; such a person is not screened
        return 0
    return last.year - first.year - ((last.month, last.day) < (first.month, first.day))


def _resources(bundle: bytes) -> Iterator[Json]:
    for item in _objects(orjson.loads(bundle).get("entry")):
        yield from _objects([item.get("resource")])


def _measured(resource: Json) -> Iterator[_Measured]:
    if resource.get("resourceType") != "Observation":
        return
    day = str(resource.get("effectiveDateTime", ""))[:10]
    if day:
        for item in (resource, *_objects(resource.get("component"))):
            yield _read(item, day=day)


def _read(item: Json, *, day: str) -> _Measured:
    quantity = next(_objects([item.get("valueQuantity")]), {})
    value = quantity.get("value")
    return _Measured(
        day=day,
        codes=_codes(item.get("code"), system=LOINC),
        value=float(value) if isinstance(value, int | float) else None,
        unit=str(quantity.get("code", quantity.get("unit", ""))),
        answers=_codes(item.get("valueCodeableConcept"), system=SNOMED),
    )


def _codes(concept: object, *, system: str) -> frozenset[str]:
    codings = (coding for item in _objects([concept]) for coding in _objects(item.get("coding")))
    return frozenset(str(item.get("code")) for item in codings if item.get("system") == system)


def _objects(value: object) -> Iterator[Json]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))
