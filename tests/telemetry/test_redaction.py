import base64
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest
from caretree.telemetry.redaction import (
    DEPTH_MAX,
    ITEMS_MAX,
    REDACTED,
    TEXT_CHARS_MAX,
    redact,
    redact_field,
    redact_text,
)

# Of the region 999999, which is assigned to nobody.
NUMBER = "999999194910010014"
KEY = bytes(range(200, 232))


@pytest.mark.parametrize(
    "key",
    [
        *("patient", "patient_value", "resident_identifier", "content", "key", "storage_key"),
        *("seed", "passphrase", "kit_code", "Token", "acting_person", "wrapped-key", "name"),
    ],
)
def test_a_value_under_a_secret_name_is_not_shown(key: str) -> None:
    assert redact_field(key, "short") == REDACTED
    assert redact({"outer": {key: 7}}) == {"outer": {key: REDACTED}}


@pytest.mark.parametrize("key", ["height", "tree_size", "grpc_code", "display_name", "monkey"])
def test_a_value_under_another_name_is_shown(key: str) -> None:
    assert redact_field(key, "short") == "short"


@pytest.mark.parametrize(
    "secret",
    [
        NUMBER,
        NUMBER[:-1] + "X",
        NUMBER[:-1] + "x",
        "".join(chr(ord(digit) - ord("0") + ord("\uff10")) for digit in NUMBER),
        NUMBER[:-1] + "\uff38",
        KEY.hex(),
        KEY.hex().upper(),
        base64.b64encode(KEY).decode(),
        base64.urlsafe_b64encode(KEY).decode().rstrip("="),
        base64.b64encode(KEY * 9).decode(),
    ],
)
def test_what_looks_secret_is_taken_out_of_a_text(secret: str) -> None:
    shown = redact_text(f"before {secret}, after")

    assert shown == f"before {REDACTED}, after"


@pytest.mark.parametrize(
    "text",
    [
        "1" * 17,
        "1" * 19,
        KEY[:16].hex(),
        base64.b64encode(KEY[:16]).decode(),
        "/var/lib/caretree/a-rather-long-directory/with-many-levels/database/000005.log",
        "caretree.ledger.v1.OutcomeRecordedBesideTheBlock",
    ],
)
def test_short_ids_counts_and_paths_are_shown(text: str) -> None:
    assert redact_text(text) == text


def test_a_text_is_cut_at_its_bound() -> None:
    assert redact_text("ab " * 341 + "a") == "ab " * 341 + "a"
    assert redact_text("a " * 513) == "a " * (TEXT_CHARS_MAX // 2) + "[cut]"


def test_a_secret_across_the_cut_is_not_shown_in_part() -> None:
    text = " " * (TEXT_CHARS_MAX - 9) + NUMBER

    assert NUMBER[:6] not in redact_text(text)


def test_a_number_that_may_be_a_resident_is_not_shown() -> None:
    assert redact(int(NUMBER)) == REDACTED
    assert redact(10**16) == 10**16
    assert redact(2**64) == "[a number of 65 bits]"
    assert redact(10**5000) == "[a number of 16610 bits]"


def test_bytes_are_only_counted() -> None:
    assert redact(KEY) == "[32 bytes]"
    assert redact(bytearray(3)) == "[3 bytes]"


def test_plain_values_are_shown() -> None:
    class Colour(Enum):
        RED = NUMBER

    assert redact([None, True, 1.5, -2, Path("a/b"), Colour.RED]) == [
        None,
        True,
        1.5,
        -2,
        "a/b",
        "red",
    ]


def test_of_an_object_only_its_type_is_shown() -> None:
    @dataclass
    class Record:
        value: str

    assert redact(Record(value=NUMBER)) == "<Record>"
    assert redact(ValueError(NUMBER)) == "<ValueError>"


def test_collections_are_bounded_in_width_and_depth() -> None:
    nested: object = "core"
    for _ in range(DEPTH_MAX + 1):
        nested = [nested]

    assert len(str(redact([0] * (ITEMS_MAX + 1)))) == len(str([0] * ITEMS_MAX))
    assert str(redact(nested)) == "[" * DEPTH_MAX + "'<list>'" + "]" * DEPTH_MAX
    assert len(str(redact(dict.fromkeys(range(99), 0)))) == len(
        str({str(number): 0 for number in range(ITEMS_MAX)})
    )
