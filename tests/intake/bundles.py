"""Builders of invented bundles, and the reading of records back, shared by this room's tests."""

from typing import TypeAlias

import orjson
from caretree.intake.split import Document, SplitBundle, split_bundle

Json: TypeAlias = dict[str, object]

SYSTEM = "https://centre.example/health-record"


def patient(**changed: object) -> Json:
    """A Patient p1 with one identifier of SYSTEM."""
    return {
        "resourceType": "Patient",
        "id": "p1",
        "identifier": [{"system": SYSTEM, "value": "A-1"}],
    } | changed


def encounter(number: int, **changed: object) -> Json:
    """An Encounter e<number> without a business identifier."""
    return {"resourceType": "Encounter", "id": f"e{number}", "status": "finished"} | changed


def observation(name: str, *encounters: str, padding: int = 0) -> Json:
    """An Observation that refers to the named Encounters, the first as its own."""
    resource: Json = {"resourceType": "Observation", "id": name, "status": "final"}
    if encounters:
        resource["encounter"] = {"reference": encounters[0]}
    if len(encounters) > 1:
        resource["derivedFrom"] = [{"reference": reference} for reference in encounters[1:]]
    if padding:
        resource["note"] = [{"text": "x" * padding}]
    return resource


def url(resource: Json) -> str:
    """The fullUrl under which `bundle` puts a resource."""
    return f"https://centre.example/fhir/{resource['resourceType']}/{resource['id']}"


def bundle(*resources: Json, kind: str = "transaction", full_urls: bool = True) -> bytes:
    """A bundle of these resources, each with a fullUrl and a request."""
    entries: list[Json] = []
    for resource in resources:
        named: Json = {"fullUrl": url(resource)} if full_urls and "id" in resource else {}
        request = {"method": "POST", "url": resource.get("resourceType")}
        entries.append({**named, "resource": resource, "request": request})
    return orjson.dumps({"resourceType": "Bundle", "type": kind, "entry": entries})


def split(data: bytes, *, source_system: str | None = None) -> SplitBundle:
    """`split_bundle` with SYSTEM as the one accepted identifier system."""
    return split_bundle(data, identifier_systems=[SYSTEM], source_system=source_system)


def resources_of(document: Document) -> list[Json]:
    """The resources of a record, parsed."""
    entries: list[Json] = orjson.loads(document.content)["entry"]
    resources: list[Json] = []
    for entry in entries:
        resource = entry["resource"]
        assert isinstance(resource, dict)
        resources.append(resource)
    return resources


def ids_of(document: Document) -> list[object]:
    """The ids of a record's resources, in order."""
    return [resource.get("id") for resource in resources_of(document)]


def keys_of(result: SplitBundle) -> list[tuple[str, str, int]]:
    """What the peer derives record ids from, document by document."""
    return [(item.source_system, item.source_id, item.part) for item in result.documents]
