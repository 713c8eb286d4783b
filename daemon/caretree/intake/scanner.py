"""Where in a bundle's bytes each resource stands, so that it is kept exactly as received.

A resource is never written anew: 1.50 would become 1.5, and whoever signed or hashed it at its
source would no longer know it. A parser gives meaning but no positions; this scanner gives the
positions and no meaning. It reads strings, escapes and brackets, which in valid JSON is enough.
"""

import re
from dataclasses import dataclass
from typing import Final

import orjson

from caretree.model.errors import MalformedError

DEPTH_MAX = 128  # FHIR's own nesting (a questionnaire's items, an extension's) stays far below

# A string together with the colon that makes it a key, or one bracket. Possessive, so that no
# input makes it try a string twice.
_TOKEN: Final = re.compile(rb'"((?:[^"\\]++|\\.)*+)"(?:[ \t\n\r]*+(:))?|[{}\[\]]', re.DOTALL)
_OPEN: Final = (ord("{"), ord("["))
_ENTRY, _RESOURCE = b"entry", b"resource"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSpan:
    """The bytes of one resource: `document[start:end]` is the value at entry[place].resource."""

    place: int
    start: int
    end: int


def resource_spans(document: bytes) -> tuple[ResourceSpan, ...]:
    """The span of each entry's resource, in file order, of a bundle that is valid JSON.

    The root must be an object, and `entry`, when there, an array of objects whose `resource`, when
    there, is an object; `intake.bundle` has seen to that with a parser.

    Raises:
        MalformedError: an object has a key twice (two readers would see two meanings), or nesting
            goes beyond DEPTH_MAX. Names the byte, never the key.
    """
    # For every open bracket: the keys seen in it, and the last of them; both empty in an array.
    seen: list[set[bytes]] = []
    path: list[bytes] = []
    spans: list[ResourceSpan] = []
    place = -1
    start = 0
    for token in _TOKEN.finditer(document):
        if token.lastindex == 1:  # a string that is a value
            continue
        if token.lastindex == 2:
            path[-1] = _read_key(token, seen=seen[-1])
        elif document[token.start()] in _OPEN:
            if _is_entry(path):
                place += 1
            elif _is_resource(path):
                start = token.start()
            _check_depth(path, offset=token.start())
            path.append(b"")
            seen.append(set())
        else:
            path.pop()
            seen.pop()
            if _is_resource(path):
                spans.append(ResourceSpan(place=place, start=start, end=token.end()))
    return tuple(spans)


def _read_key(token: re.Match[bytes], *, seen: set[bytes]) -> bytes:
    key = token[1]
    if b"\\" in key:  # "\u0065ntry" is the key entry
        key = str(orjson.loads(b'"' + key + b'"')).encode()
    if key in seen:
        raise MalformedError(
            "bundle", f"expected no key twice in one object, found one at byte {token.start()}"
        )
    seen.add(key)
    return key


def _is_entry(path: list[bytes]) -> bool:
    return len(path) == 2 and path[0] == _ENTRY


def _is_resource(path: list[bytes]) -> bool:
    return len(path) == 3 and path[0] == _ENTRY and path[2] == _RESOURCE


def _check_depth(path: list[bytes], *, offset: int) -> None:
    if len(path) >= DEPTH_MAX:
        raise MalformedError(
            "bundle", f"expected at most {DEPTH_MAX} levels of nesting, found more at byte {offset}"
        )
