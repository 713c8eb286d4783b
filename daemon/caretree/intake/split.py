"""One FHIR bundle of one patient as the records that the ledger keeps.

Every record is itself a valid FHIR R4 bundle of type collection that begins with the Patient, so
whoever opens a single one knows whose it is. Its resources are spliced in byte for byte.

The cutting below is part of what a second import relies on: (system, source id, part) of a record
comes from it, and the peer derives record and request id from these. Another way of cutting would
make every import after it a new one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from caretree.crypto.pseudonym import PatientIdentifier
from caretree.intake.bundle import Resource, check_bundle_size, parse_bundle
from caretree.intake.encoding import to_utf8
from caretree.intake.encounters import Group, group_by_encounter, rest_source
from caretree.intake.errors import OversizeError
from caretree.intake.patient import identifier_of, sole_patient
from caretree.intake.resource_types import show_type
from caretree.model.limits import CONTENT_BYTES_MAX

MEDIA_TYPE: Final = "application/fhir+json"
_HEAD: Final = b'{"resourceType":"Bundle","type":"collection","entry":['
_TAIL: Final = b"]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One record to append: part `part` (from 0) of `parts` of one document at its source.

    The source id may hold a number by which the patient is known: it belongs into the call to the
    own peer, and into no journal, report or log.
    """

    source_system: str
    source_id: str = field(repr=False)
    part: int
    parts: int
    content: bytes = field(repr=False)
    media_type: str
    resource_count: int  # the Patient counted


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedResource:
    """A resource that no record can hold, by type and place; everything else was taken."""

    resource_type: str
    place: int
    content_bytes: int  # of the record that would hold it alone: with wrapper and Patient

    def reason(self) -> str:
        """What a report says of it."""
        return (
            f"{show_type(self.resource_type)} at entry[{self.place}] needs a record of "
            f"{self.content_bytes} bytes, at most {CONTENT_BYTES_MAX} are taken"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitBundle:
    """A bundle's patient, its documents (Encounters in file order, then the rest), and refusals."""

    patient: PatientIdentifier
    documents: tuple[Document, ...]
    refused: tuple[RefusedResource, ...]


def split_bundle(
    data: bytes,
    *,
    identifier_systems: Sequence[str],
    source_system: str | None = None,
    encoding: str | None = None,
) -> SplitBundle:
    """The records of one bundle; the same bytes always give the same records, ids and parts.

    `identifier_systems` are those by which a patient may be known, the best first. `source_system`
    names the system that the source ids belong to; without it they count among FHIR's URIs.
    `encoding` names what the bytes are in; without it they must be UTF-8.

    Raises:
        EncodingError: the bytes are in another encoding; names the likely one.
        MalformedError: they are no FHIR JSON; names the byte or the element.
        NotABundleError, NoPatientError, PatientsError, NoIdentifierError, EncounterIdentityError,
        OversizeError: as their docstrings say. All are RejectedErrors without patient data.
    """
    check_bundle_size(len(data))
    resources = parse_bundle(to_utf8(data, encoding=encoding))
    patient = sole_patient(resources)
    identifier = identifier_of(patient, accepted=identifier_systems)
    groups, rest = group_by_encounter(resources, patient=identifier)
    patient_entry = _entry(patient)
    if _content_bytes(patient_entry) > CONTENT_BYTES_MAX:
        raise OversizeError(
            f"{patient.show()} needs {_content_bytes(patient_entry)} bytes in every record, "
            f"at most {CONTENT_BYTES_MAX} are taken"
        )
    refused = _oversize(resources, patient=patient_entry)
    left_out = frozenset(item.place for item in refused)
    groups = tuple(
        Group(source=group.source, resources=kept)
        for group in groups
        if (kept := _without(group.resources, left_out))
    )
    rest = _without(rest, left_out)
    if rest or not groups:  # a Patient alone is a record too
        groups = (*groups, Group(source=rest_source(rest, patient=identifier), resources=rest))
    return SplitBundle(
        patient=identifier,
        documents=tuple(
            document
            for group in groups
            for document in _documents(group, patient=patient_entry, source_system=source_system)
        ),
        refused=refused,
    )


def _oversize(resources: Sequence[Resource], *, patient: bytes) -> tuple[RefusedResource, ...]:
    """What does not fit into a record even alone, in file order."""
    return tuple(
        RefusedResource(
            resource_type=resource.resource_type, place=resource.place, content_bytes=needed
        )
        for resource in resources
        if resource.resource_type != "Patient"
        and (needed := _content_bytes(patient, _entry(resource))) > CONTENT_BYTES_MAX
    )


def _without(resources: Sequence[Resource], left_out: frozenset[int]) -> tuple[Resource, ...]:
    return tuple(resource for resource in resources if resource.place not in left_out)


def _documents(group: Group, *, patient: bytes, source_system: str | None) -> Iterator[Document]:
    parts = _pack([_entry(resource) for resource in group.resources], patient=patient)
    for number, entries in enumerate(parts):
        content = _HEAD + b",".join(entries) + _TAIL
        assert len(content) <= CONTENT_BYTES_MAX
        yield Document(
            source_system=source_system or group.source.system,
            source_id=group.source.source_id,
            part=number,
            parts=len(parts),
            content=content,
            media_type=MEDIA_TYPE,
            resource_count=len(entries),
        )


def _pack(entries: Sequence[bytes], *, patient: bytes) -> list[list[bytes]]:
    """The entries in order, each part as full as its next entry allows and begun by the Patient."""
    parts: list[list[bytes]] = [[patient]]
    size = _content_bytes(patient)
    for entry in entries:
        size += len(entry) + 1  # the comma
        if size > CONTENT_BYTES_MAX:
            parts.append([patient])
            size = _content_bytes(patient, entry)
        parts[-1].append(entry)
    return parts


def _entry(resource: Resource) -> bytes:
    """The entry of a collection: fullUrl and resource; what was asked of a server stays outside."""
    if resource.full_url is None:
        return b'{"resource":' + resource.content + b"}"
    full_url = orjson.dumps(resource.full_url)
    return b'{"fullUrl":' + full_url + b',"resource":' + resource.content + b"}"


def _content_bytes(*entries: bytes) -> int:
    return len(_HEAD) + sum(map(len, entries)) + len(entries) - 1 + len(_TAIL)
