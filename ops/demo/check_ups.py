"""A yearly check-up: what it found, drawn from a body that ages, and the FHIR R4 resources of it.

The figures are invented; their means, spreads and dependences (pressure rises with age and weight,
diabetes with both, smoking is men's) are roughly those of a county's adults.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from random import Random
from typing import Final, TypeAlias

Json: TypeAlias = dict[str, object]

LOINC: Final = "http://loinc.org"
SNOMED: Final = "http://snomed.info/sct"
UCUM: Final = "http://unitsofmeasure.org"
ICD_10: Final = "http://hl7.org/fhir/sid/icd-10"
VISIT_SYSTEM: Final = "https://qingxi-township.example/visit"
CHECK_UPS = 3

_NAMESPACE: Final = uuid.UUID("6f1d7c5e-2f0b-4a55-9d43-6d0c2a6b8e11")
_BEIJING: Final = timezone(timedelta(hours=8))
_DOCTORS: Final = ("周医生", "何医生", "梁医生")
_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
_ACT: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

# LOINC code, display, Chinese name, unit, category: what is measured as one number.
_QUANTITIES: Final = {
    "height_cm": ("8302-2", "Body height", "身高", "cm", "vital-signs"),
    "weight_kg": ("29463-7", "Body weight", "体重", "kg", "vital-signs"),
    "bmi": ("39156-5", "Body mass index (BMI) [Ratio]", "体质指数", "kg/m2", "vital-signs"),
    "pulse": ("8867-4", "Heart rate", "心率", "/min", "vital-signs"),
    "glucose": (
        "14771-0",
        "Fasting glucose [Moles/volume] in Serum or Plasma",
        "空腹血糖",
        "mmol/L",
        "laboratory",
    ),
    "cholesterol": (
        "14647-2",
        "Cholesterol [Moles/volume] in Serum or Plasma",
        "总胆固醇",
        "mmol/L",
        "laboratory",
    ),
    "hdl": (
        "14646-4",
        "Cholesterol in HDL [Moles/volume] in Serum or Plasma",
        "高密度脂蛋白胆固醇",
        "mmol/L",
        "laboratory",
    ),
    "ldl": (
        "22748-8",
        "Cholesterol in LDL [Moles/volume] in Serum or Plasma",
        "低密度脂蛋白胆固醇",
        "mmol/L",
        "laboratory",
    ),
    "triglycerides": (
        "14927-8",
        "Triglyceride [Moles/volume] in Serum or Plasma",
        "甘油三酯",
        "mmol/L",
        "laboratory",
    ),
}
_SMOKING: Final = {
    "never": ("266919005", "Never smoked tobacco", "从不吸烟"),
    "former": ("8517006", "Ex-smoker", "已戒烟"),
    "current": ("449868002", "Smokes tobacco daily", "每天吸烟"),
}
_CONDITIONS: Final = {
    "hypertension": ("I10", "Essential (primary) hypertension", "原发性高血压"),
    "diabetes": ("E11.9", "Type 2 diabetes mellitus without complications", "2型糖尿病"),
    "hyperlipidaemia": ("E78.5", "Hyperlipidaemia, unspecified", "高脂血症"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckUp:
    """What one visit found. Lipids and glucose in mmol/L, pressure in mm[Hg]."""

    visit: str
    begun: datetime
    doctor: str
    height_cm: float
    weight_kg: float
    bmi: float
    pulse: float
    systolic: float
    diastolic: float
    glucose: float
    cholesterol: float
    hdl: float
    ldl: float
    triglycerides: float
    smoking: str  # a key of _SMOKING
    rhythm: str  # the ECG's conclusion
    conditions: tuple[str, ...]  # keys of _CONDITIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Body:
    """What a person brings to every visit; visits add their own chance."""

    height_cm: float
    bmi: float
    systolic: float
    diastolic: float
    glucose: float
    ldl: float
    hdl: float
    triglycerides: float
    smoking: str


def draw_check_ups(
    draw: Random, *, born: date, female: bool, first_year: int, index: int
) -> tuple[CheckUp, ...]:
    """Three yearly check-ups of one person, the oldest first."""
    body = _draw_body(draw, age=first_year - born.year, female=female)
    check_ups: list[CheckUp] = []
    for number in range(CHECK_UPS):
        year = first_year + number
        before = check_ups[-1] if check_ups else None
        visit = f"TJ{year}-{index + 1:05d}"
        check_ups.append(_draw_check_up(draw, body=body, year=year, visit=visit, before=before))
    return tuple(check_ups)


def check_up_resources(check_up: CheckUp, *, person: str) -> list[Json]:
    """The Encounter and all that was found at it, each referring to it and to the Patient."""
    context: Json = {
        "subject": {"reference": urn(person)},
        "encounter": {"reference": urn(check_up.visit)},
    }
    when: Json = {"effectiveDateTime": check_up.begun.isoformat()}
    observations = [
        _quantity(name, round(getattr(check_up, name), 2)) | context | when for name in _QUANTITIES
    ]
    resources = [
        _encounter(check_up, person=person),
        *observations,
        _pressure(check_up) | context | when,
        _smoking(check_up.smoking) | context | when,
        _ecg(check_up) | context | when,
        *(_condition(name, check_up) | context for name in check_up.conditions),
    ]
    for number, resource in enumerate(resources):
        key = check_up.visit if number == 0 else f"{check_up.visit}/{number}"
        resource["id"] = _uuid(key)
    return resources


def entry(resource: Json, *, key: str) -> Json:
    """A transaction bundle's entry: the resource under its urn, to be created."""
    kind = resource["resourceType"]
    own = f"urn:uuid:{resource['id']}" if kind != "Patient" else urn(key)
    return {"fullUrl": own, "resource": resource, "request": {"method": "POST", "url": kind}}


def urn(key: str) -> str:
    """The same invented UUID for the same key, as the urn by which a bundle refers to it."""
    return f"urn:uuid:{_uuid(key)}"


def _uuid(key: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, key))


def _draw_body(draw: Random, *, age: int, female: bool) -> _Body:
    bmi = max(16.5, draw.gauss(23.8, 3.2))
    excess = bmi - 23.8
    diabetic = draw.random() < 0.03 + 0.0022 * (age - 30) + 0.012 * excess
    smoking = draw.random()
    current, former = (0.02, 0.03) if female else (0.42, 0.55)
    return _Body(
        height_cm=draw.gauss(157 if female else 168, 6) - 0.05 * max(0, age - 40),
        bmi=bmi,
        systolic=114.5 + 0.45 * (age - 30) + 1.0 * excess + draw.gauss(0, 11),
        diastolic=73 + 0.15 * (min(age, 60) - 30) + 0.6 * excess + draw.gauss(0, 6),
        glucose=draw.uniform(7.0, 10.5)
        if diabetic
        else 4.8 + 0.008 * (age - 30) + 0.04 * excess + draw.gauss(0, 0.35),
        ldl=max(1.2, draw.gauss(2.65 + 0.008 * (age - 30), 0.7)),
        hdl=max(0.7, draw.gauss(1.42 if female else 1.28, 0.25) - 0.02 * excess),
        triglycerides=max(0.4, 1.25 + 0.07 * excess + draw.expovariate(2.2) - 0.2),
        smoking="current" if smoking < current else "former" if smoking < former else "never",
    )


def _draw_check_up(
    draw: Random, *, body: _Body, year: int, visit: str, before: CheckUp | None
) -> CheckUp:
    bmi = body.bmi + draw.gauss(0, 0.4)
    ldl = max(1.0, body.ldl + draw.gauss(0, 0.2))
    hdl = max(0.6, body.hdl + draw.gauss(0, 0.06))
    triglycerides = max(0.3, body.triglycerides + draw.gauss(0, 0.2))
    systolic = round(body.systolic + draw.gauss(0, 6))
    diastolic = min(round(body.diastolic + draw.gauss(0, 4)), systolic - 20)
    glucose = round(max(3.6, body.glucose + draw.gauss(0, 0.25)), 1)
    day = date(year, 3, 1) + timedelta(days=draw.randint(0, 240))
    begun = datetime(day.year, day.month, day.day, tzinfo=_BEIJING)
    return CheckUp(
        visit=visit,
        begun=begun + timedelta(hours=8, minutes=draw.randint(0, 180)),
        doctor=draw.choice(_DOCTORS),
        height_cm=round(body.height_cm, 1),
        weight_kg=round(bmi * (body.height_cm / 100) ** 2, 1),
        bmi=round(bmi, 1),
        pulse=round(draw.gauss(74, 8)),
        systolic=systolic,
        diastolic=diastolic,
        glucose=glucose,
        # Friedewald's estimate, read backwards, so that the four lipids agree.
        cholesterol=round(ldl + hdl + triglycerides / 2.2, 2),
        hdl=round(hdl, 2),
        ldl=round(ldl, 2),
        triglycerides=round(triglycerides, 2),
        smoking=body.smoking,
        rhythm=_draw_rhythm(draw, high=systolic >= 150),
        conditions=_conditions(
            high_pressure=systolic >= 140 or diastolic >= 90,
            glucose=glucose,
            ldl=ldl,
            before=before,
        ),
    )


def _draw_rhythm(draw: Random, *, high: bool) -> str:
    chance = draw.random()
    if high and chance < 0.3:
        return "窦性心律 左心室高电压"
    if chance < 0.05:
        return "窦性心动过缓"
    return "窦性心律 ST-T轻度改变" if chance < 0.1 else "窦性心律 正常心电图"


def _conditions(
    *, high_pressure: bool, glucose: float, ldl: float, before: CheckUp | None
) -> tuple[str, ...]:
    """What the doctor writes down: hypertension takes two visits, and what is chronic stays."""
    was_high = before is not None and (before.systolic >= 140 or before.diastolic >= 90)
    found = {
        "hypertension": high_pressure and was_high,
        "diabetes": glucose >= 7.0,
        "hyperlipidaemia": ldl >= 4.1,
    }
    known = before.conditions if before is not None else ()
    return tuple(name for name, new in found.items() if new or name in known)


def _encounter(check_up: CheckUp, *, person: str) -> Json:
    ended = check_up.begun + timedelta(minutes=90)
    return {
        "resourceType": "Encounter",
        "identifier": [{"system": VISIT_SYSTEM, "value": check_up.visit}],
        "status": "finished",
        "class": {"system": _ACT, "code": "AMB", "display": "ambulatory"},
        "type": [_concept(SNOMED, "185349003", "Encounter for check up", "居民健康体检")],
        "subject": {"reference": urn(person)},
        "participant": [{"individual": {"display": check_up.doctor}}],
        "period": {"start": check_up.begun.isoformat(), "end": ended.isoformat()},
        "serviceProvider": {"display": "清溪镇中心卫生院"},
    }


def _quantity(name: str, value: float) -> Json:
    code, display, text, unit, category = _QUANTITIES[name]
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": _CATEGORY, "code": category}]}],
        "code": _concept(LOINC, code, display, text),
        "valueQuantity": _measure(value, unit),
    }


def _pressure(check_up: CheckUp) -> Json:
    parts = (
        ("8480-6", "Systolic blood pressure", "收缩压", check_up.systolic),
        ("8462-4", "Diastolic blood pressure", "舒张压", check_up.diastolic),
    )
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": _CATEGORY, "code": "vital-signs"}]}],
        "code": _concept(
            LOINC, "85354-9", "Blood pressure panel with all children optional", "血压"
        ),
        "component": [
            {
                "code": _concept(LOINC, code, display, text),
                "valueQuantity": _measure(value, "mm[Hg]"),
            }
            for code, display, text, value in parts
        ],
    }


def _smoking(smoking: str) -> Json:
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": _CATEGORY, "code": "social-history"}]}],
        "code": _concept(LOINC, "72166-2", "Tobacco smoking status", "吸烟状况"),
        "valueCodeableConcept": _concept(SNOMED, *_SMOKING[smoking]),
    }


def _ecg(check_up: CheckUp) -> Json:
    return {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "code": _concept(LOINC, "11524-6", "EKG study", "十二导联心电图"),
        "issued": (check_up.begun + timedelta(minutes=40)).astimezone(UTC).isoformat(),
        "performer": [{"display": check_up.doctor}],
        "conclusion": f"{check_up.rhythm}。心率{check_up.pulse:.0f}次/分。",
    }


def _condition(name: str, check_up: CheckUp) -> Json:
    code, display, text = _CONDITIONS[name]
    status = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    return {
        "resourceType": "Condition",
        "clinicalStatus": {"coding": [{"system": status, "code": "active"}]},
        "code": _concept(ICD_10, code, display, text),
        "recordedDate": check_up.begun.isoformat(),
    }


def _concept(system: str, code: str, display: str, text: str) -> Json:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": text}


def _measure(value: float, unit: str) -> Json:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}
