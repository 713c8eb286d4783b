"""Which resource belongs to which Encounter, and by what name an Encounter is known for ever.

The rules, and what they keep stable: the same file always gives the same groups, in file order.

1. An Encounter is the first of its own group, also when it refers to another (`partOf`).
2. A resource belongs to the Encounter that any `reference` in it names, by the Encounter's fullUrl
   or as Encounter/<id>, with or without a version. Only what refers directly counts.
3. A resource that refers to several belongs to the one that comes first in the file.
4. The Patient stands before every group and belongs to none; what is left over is the rest.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from caretree.crypto.pseudonym import PatientIdentifier
from caretree.intake.bundle import Resource, references_in
from caretree.intake.errors import EncounterIdentityError
from caretree.intake.patient import read_identifiers
from caretree.model.limits import IDENTIFIER_BYTES_MAX

FHIR_SYSTEM: Final = "http://hl7.org/fhir"
URI_SYSTEM: Final = "urn:ietf:rfc:3986"  # FHIR's own name for "the value is a URI"

_VERSION: Final = re.compile(r"/_history/[^/]*$")
_ABSOLUTE_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a document is known by at its source; the peer derives record and request id from it."""

    system: str
    source_id: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Resources that become one document, in the order they will have in it, Patient left out."""

    source: Source
    resources: tuple[Resource, ...]


def group_by_encounter(
    resources: Sequence[Resource], *, patient: PatientIdentifier
) -> tuple[tuple[Group, ...], tuple[Resource, ...]]:
    """The Encounters' groups and the rest, each in file order.

    Raises:
        EncounterIdentityError: an Encounter without identity, or two of one identity.
    """
    encounters = [item for item in resources if item.resource_type == "Encounter"]
    sources = [encounter_source(item, patient=patient) for item in encounters]
    _refuse_shared(encounters, names=sources)
    names = [tuple(_names(encounter)) for encounter in encounters]
    _refuse_shared(
        [item for item, own in zip(encounters, names, strict=True) for _ in own],
        names=[name for own in names for name in own],
    )
    order = {name: number for number, own in enumerate(names) for name in own}
    members: list[list[Resource]] = [[encounter] for encounter in encounters]
    rest: list[Resource] = []
    for resource in resources:
        if resource.resource_type in ("Encounter", "Patient"):
            continue
        number = _first_encounter(resource, order=order)
        (rest if number is None else members[number]).append(resource)
    groups = tuple(
        Group(source=source, resources=tuple(group))
        for source, group in zip(sources, members, strict=True)
    )
    return groups, tuple(rest)


def encounter_source(encounter: Resource, *, patient: PatientIdentifier) -> Source:
    """An Encounter's identity: its first identifier, else fullUrl, else its id for this patient.

    A relative fullUrl and an id are unique at one server alone, so they count within the patient:
    two servers' Encounter/1 of two people never become one record.

    Raises:
        EncounterIdentityError: it has none of the three.
    """
    within = f"Bundle.entry[{encounter.place}].resource"
    for identifier in read_identifiers(encounter.meaning, within=within):
        return _source(FHIR_SYSTEM, f"{identifier.system}|{identifier.value}")
    if encounter.full_url is not None and _ABSOLUTE_URI.match(encounter.full_url):
        return _source(URI_SYSTEM, encounter.full_url)
    if encounter.resource_id is None and encounter.full_url is None:
        raise EncounterIdentityError(
            f"{encounter.show()} has neither an identifier with a system, nor a fullUrl, nor an id"
        )
    local = encounter.full_url or f"Encounter/{encounter.resource_id}"
    return _source(FHIR_SYSTEM, f"{patient.system}|{patient.value}#{local}")


def rest_source(rest: Sequence[Resource], *, patient: PatientIdentifier) -> Source:
    """The identity of what refers to no Encounter: the patient's, and a digest of these bytes.

    Without the digest a second report of the same patient, which refers to no Encounter either,
    would be taken for the first one with its content changed, and be refused.
    """
    digest = hashlib.sha256()
    for resource in rest:
        digest.update(len(resource.content).to_bytes(4, "big"))
        digest.update(resource.content)
    return _source(FHIR_SYSTEM, f"{patient.system}|{patient.value}#rest/{digest.hexdigest()[:32]}")


def _source(system: str, source_id: str) -> Source:
    encoded = source_id.encode()
    if len(encoded) > IDENTIFIER_BYTES_MAX:
        return Source(system=system, source_id=f"sha-256:{hashlib.sha256(encoded).hexdigest()}")
    return Source(system=system, source_id=source_id)


def _names(encounter: Resource) -> Iterator[str]:
    """What other resources may call this Encounter."""
    local = None if encounter.resource_id is None else f"Encounter/{encounter.resource_id}"
    if encounter.full_url is not None:
        yield encounter.full_url
    if local is not None and local != encounter.full_url:
        yield local


def _first_encounter(resource: Resource, *, order: dict[str, int]) -> int | None:
    named = {_VERSION.sub("", reference) for reference in references_in(resource.meaning)}
    return min((order[name] for name in named if name in order), default=None)


def _refuse_shared(encounters: Sequence[Resource], *, names: Sequence[object]) -> None:
    first: dict[object, Resource] = {}
    for encounter, name in zip(encounters, names, strict=True):
        other = first.setdefault(name, encounter)
        if other is not encounter:
            raise EncounterIdentityError(
                f"{encounter.show()} and {other.show()} have one identity, expected two"
            )
