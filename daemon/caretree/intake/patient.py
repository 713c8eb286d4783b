"""Whose bundle it is: exactly one Patient, known by an identifier that the consortium accepts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from caretree.crypto.pseudonym import PatientIdentifier, normalise_identifier
from caretree.intake.bundle import JsonObject, Resource, objects_at, string_at
from caretree.intake.errors import NoIdentifierError, NoPatientError, PatientsError

# The end of a reference to a Patient, relative or absolute, with or without a version.
_PATIENT_REFERENCE: Final = re.compile(r"(?:^|/)Patient/([A-Za-z0-9.-]{1,64})(?:/_history/.*)?$")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]{1,200}")
_SUBJECT_KEYS: Final = ("subject", "patient")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """A business identifier of a resource, as the file has it."""

    system: str
    value: str = field(repr=False)


def sole_patient(resources: Sequence[Resource]) -> Resource:
    """The bundle's one Patient.

    Raises:
        NoPatientError: there is none.
        PatientsError: there are several, or a resource is about a Patient that is not this one.
    """
    patients = [resource for resource in resources if resource.resource_type == "Patient"]
    if not patients:
        raise NoPatientError
    if len(patients) > 1:
        shown = ", ".join(patient.show() for patient in patients[:4])
        raise PatientsError(f"{len(patients)} patients in one bundle, expected one: {shown}")
    patient = patients[0]
    for resource in resources:
        if _is_about_another(resource, patient=patient):
            raise PatientsError(
                f"{resource.show()} refers to another patient than the bundle's {patient.show()}"
            )
    return patient


def identifier_of(patient: Resource, *, accepted: Sequence[str]) -> PatientIdentifier:
    """The Patient's first identifier of the first accepted system that it has one of, made uniform.

    Identifiers marked as old are passed over. One that is wrong (a resident number with a wrong
    check digit) is refused here, before anything is sent; no other is tried in its place.

    Raises:
        NoIdentifierError: it has none. Carries the systems it has (a system is no patient data).
        MalformedError: its identifiers are not what FHIR says, or not what their system says.
    """
    within = f"Bundle.entry[{patient.place}].resource"
    known = read_identifiers(patient.meaning, within=within)
    for system in accepted:
        for identifier in known:
            if identifier.system == system:
                return normalise_identifier(system=system, value=identifier.value)
    # What is no URI may be anything, a name typed into the wrong field among them.
    systems = dict.fromkeys(
        item.system if _URI.fullmatch(item.system) else "(not a URI)" for item in known
    )
    raise NoIdentifierError(accepted=accepted, found=tuple(systems))


def read_identifiers(meaning: JsonObject, *, within: str) -> list[Identifier]:
    """The identifiers of a resource that have a system and a value and are not old, in order.

    Raises:
        MalformedError: they are not what FHIR says.
    """
    identifiers: list[Identifier] = []
    field_name = f"{within}.identifier"
    for item in objects_at(meaning, "identifier", within=within):
        system = string_at(item, "system", within=field_name)
        value = string_at(item, "value", within=field_name)
        if system is not None and value is not None and item.get("use") != "old":
            identifiers.append(Identifier(system=system, value=value))
    return identifiers


def _is_about_another(resource: Resource, *, patient: Resource) -> bool:
    """True when `subject` or `patient` names a Patient by an id that is not this one's.

    Filing one person's results under another is the worst that an import can do, so this is
    looked at although a server that wrote the bundle should not have mixed them.
    """
    for key in _SUBJECT_KEYS:
        about = resource.meaning.get(key)
        reference = about.get("reference") if isinstance(about, dict) else None
        if not isinstance(reference, str) or reference == patient.full_url:
            continue
        named = _PATIENT_REFERENCE.search(reference)
        if named is not None and patient.resource_id not in (None, named[1]):
            return True
    return False
