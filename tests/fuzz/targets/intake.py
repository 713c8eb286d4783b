"""FHIR bundles as hospitals export them, in whatever encoding."""

from collections.abc import Iterator
from typing import Final

import orjson
from caretree.intake.bundle import parse_bundle
from caretree.intake.encoding import ENCODINGS, likely_encoding, to_utf8
from caretree.intake.errors import EncodingError, NoIdentifierError
from caretree.intake.patient import read_identifiers
from caretree.intake.scanner import resource_spans
from caretree.intake.split import split_bundle
from caretree.model.errors import RejectedError
from caretree.model.limits import CONTENT_BYTES_MAX

from tests.fuzz.target import Shape, Target
from tests.intake.bundles import SYSTEM, bundle, encounter, observation, patient, url

_WORDS: Final = (
    b'"entry":', b'"resource":', b'"resourceType":"Patient"', b'"resourceType":"Encounter"',
    b'"identifier":[', b'"reference":', b'"fullUrl":', b"{", b"}", b"[", b"]", b",", b":", b"null",
    b"true", b"1e999", b"-0", b"0.10", b"\\u0065ntry", b"\\ud800", b'"', b"\\", b"\xef\xbb\xbf",
    b"[" * 200, b'{"a":' * 200, b"<Bundle", b"\n{}\n",
)  # fmt: skip


def bundles() -> Iterator[bytes]:
    """Bundles of one patient, with and without encounters, ids and full URLs."""
    visit = encounter(1, identifier=[{"system": "urn:example:visit", "value": "V-1"}])
    yield bundle(patient(), visit, observation("o1", url(visit)), observation("o2"))
    yield bundle(patient(), encounter(1), observation("o1", "Encounter/e1"), full_urls=False)
    yield bundle(patient(), observation("o1", padding=300))
    yield orjson.dumps(
        orjson.loads(bundle(patient(name=[{"text": "\u738b\u4e94"}]), encounter(2))),
        option=orjson.OPT_INDENT_2,
    )


def _run_split(data: bytes) -> None:
    split = split_bundle(data, identifier_systems=[SYSTEM])
    assert split.documents
    for document in split.documents:
        assert len(document.content) <= CONTENT_BYTES_MAX
        resources = parse_bundle(document.content)
        assert len(resources) == document.resource_count
        assert resources[0].resource_type == "Patient"


def _run_parse(data: bytes) -> None:
    for resource in parse_bundle(data):
        assert orjson.loads(resource.content) == resource.meaning
        read_identifiers(resource.meaning, within="resource")


def _run_encoding(data: bytes) -> None:
    """The first byte says which encoding is named, if any."""
    number, text = data[0] if data else 0, data[1:]
    likely = likely_encoding(text)
    assert likely in ENCODINGS
    name = None if number >= len(ENCODINGS) else ENCODINGS[number]
    taken = to_utf8(text, encoding=name)
    assert taken.decode().encode() == taken


def _encoded() -> Iterator[bytes]:
    text = '{"name":"\u738b\u4e94"}'
    for number, name in enumerate(ENCODINGS):
        yield bytes((number,)) + text.encode(name, errors="replace")
    yield b"\xff" + text.encode()


TARGETS: Final = (
    Target(
        name="fhir-bundle",
        run=_run_split,
        errors=(RejectedError,),
        seeds=bundles,
        covers=(parse_bundle, split_bundle, resource_spans),
        shape=Shape.TEXT,
        words=_WORDS,
        may_show=(NoIdentifierError,),  # systems that are URIs, which are no patient data
    ),
    Target(
        name="fhir-resources",
        run=_run_parse,
        errors=(RejectedError,),
        seeds=bundles,
        covers=(parse_bundle, read_identifiers),
        shape=Shape.TEXT,
        words=_WORDS,
    ),
    Target(
        name="encoding",
        run=_run_encoding,
        errors=(EncodingError,),
        seeds=_encoded,
        covers=(to_utf8, likely_encoding),
        words=(b"\xff\xfe", b"\xfe\xff", b"\x00", b"\xb9\xfa", b"\xef\xbf\xbd"),
    ),
)
