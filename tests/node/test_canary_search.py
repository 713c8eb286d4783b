"""The searcher for canaries finds a planted one in every disguise, wherever it stands."""

import base64
import json
import secrets
import urllib.parse
from collections.abc import Callable
from typing import Final

import pytest

from tests.node.canaries import Canary, disguises, joined_log, search

KEY: Final = Canary(what="key", value=bytes(range(200, 232)))
TEXT: Final = Canary(what="complaint", value="金丝雀胸闷三天夜间加重")
NUMBER: Final = Canary(what="number", value="999999198503152431")
CANARIES: Final = (KEY, TEXT, NUMBER)


def raw(canary: Canary, encoding: str = "utf-8") -> bytes:
    return canary.value if isinstance(canary.value, bytes) else canary.value.encode(encoding)


SPELLINGS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "bytes": lambda value: value,
    "hex": lambda value: value.hex().encode(),
    "capital hex": lambda value: value.hex().upper().encode(),
    "repr": lambda value: repr({"content": value}).encode(),
    "base64": base64.b64encode,
    "url-safe base64": base64.urlsafe_b64encode,
    "base64 without padding": lambda value: base64.b64encode(value).rstrip(b"="),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: str(canary.what))
def test_a_canary_is_found_in_each_spelling(canary: Canary, spelling: str) -> None:
    planted = SPELLINGS[spelling](raw(canary))

    assert search({"here": planted}, CANARIES)


@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: str(canary.what))
def test_a_canary_is_found_inside_a_longer_base64(
    canary: Canary, encode: Callable[[bytes], bytes], before: int, after: int
) -> None:
    around = secrets.token_bytes(before) + raw(canary) + secrets.token_bytes(after)

    assert search({"here": encode(around)}, [canary])


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "gbk", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_text_is_found_in_each_encoding(encoding: str, spelling: str) -> None:
    assert search({"here": SPELLINGS[spelling](raw(TEXT, encoding))}, CANARIES)


def test_a_text_is_found_escaped() -> None:
    assert isinstance(TEXT.value, str)
    escaped = {
        "JSON": json.dumps({"message": TEXT.value}).encode(),
        "URL": f"/?q={urllib.parse.quote(TEXT.value)}".encode(),
    }

    found = search(escaped, CANARIES)

    assert {place.rpartition(" in ")[2] for place in found} == set(escaped)


def test_what_is_found_names_the_canary_and_never_shows_it() -> None:
    found = search({"here": raw(KEY)}, CANARIES)

    assert found == ["key as bytes in here"]
    assert search({"again": "".join(found).encode()}, CANARIES) == []


def test_nothing_is_found_where_nothing_is() -> None:
    assert search({"here": secrets.token_bytes(1_000_000)}, CANARIES) == []


def test_a_canary_cut_by_leveldb_s_log_is_found_when_its_fragments_are_joined() -> None:
    begin = bytes(32 * 1024 - 7 - 20) + raw(KEY)[:20]
    cut = b"\0\0\0\0" + len(begin).to_bytes(2, "little") + b"\2" + begin
    cut += b"\0\0\0\0" + (12).to_bytes(2, "little") + b"\4" + raw(KEY)[20:]

    assert search({"log": cut}, CANARIES) == []
    assert search({"log": joined_log(cut)}, CANARIES) == ["key as bytes in log"]


def test_every_disguise_is_long_enough_not_to_be_found_by_chance() -> None:
    assert min(len(needle) for canary in CANARIES for _, needle in disguises(canary)) >= 12
