import base64
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from caretree.crypto.aead import OpeningError
from caretree.crypto.fields import encode_fields
from caretree.crypto.kit import (
    _KIND,
    CA_KEY_PEM_BYTES_MAX,
    KIT_CHARACTERS_MAX,
    RecoveryKit,
    _fields,
    decode_kit,
    encode_kit,
)
from caretree.crypto.locked import Passphrase, lock
from caretree.crypto.recovery_code import draw_recovery_code
from caretree.crypto.suite import NewerFormatError
from caretree.model.errors import CaretreeError, MalformedError
from Crypto.Cipher import AES
from Crypto.Protocol.KDF import scrypt
from hypothesis import given

from tests.crypto.builders import FixedRandom, keystore, recovery_kit, secret

CODE = draw_recovery_code(FixedRandom("code"))
TEXT = encode_kit(recovery_kit(), code=CODE, random=FixedRandom("kit"))
LINES = TEXT.splitlines()
NAMES = b"\x00\x00\x00\x0ccare.example" + b"\x00\x00\x00\x08township"


def armoured(box: bytes) -> str:
    body = base64.b64encode(box).decode()
    return "\n".join([*LINES[:3], body, LINES[-1]])


def test_a_kit_is_found_again_with_its_code() -> None:
    found = decode_kit(TEXT, code=CODE)
    assert found == recovery_kit()
    assert _fields(found) == _fields(recovery_kit())


def test_a_kit_is_text_that_a_person_can_tell() -> None:
    assert LINES[:3] == [
        "CARETREE RECOVERY KIT v1",
        "consortium: care.example",
        "member: township",
    ]
    assert LINES[-1] == "END CARETREE RECOVERY KIT"
    assert TEXT.endswith("\n")
    assert max(len(line) for line in LINES) == 64
    assert TEXT.isascii()


def test_known_answer_of_a_kit() -> None:
    assert LINES[3] == "AQECEQgBAkJhh0GU+XMFB3QCyw7ybv3UZ1xIZyU5v34YuT8ALJT3dQnja/XSdTJT"


def test_the_other_library_opens_a_kit_by_its_layout() -> None:
    box = base64.b64decode("".join(LINES[3:-1]))
    assert box[:6] == bytes((1, 1, 2, 17, 8, 1))
    salt, nonce, header = box[6:22], box[22:34], box[:34]
    key = scrypt(CODE.characters.encode(), salt, 32, 2**17, 8, 1)
    cipher = AES.new(key, AES.MODE_GCM, nonce=nonce)
    context = b"\x00\x00\x00\x1c" + NAMES
    cipher.update(b"\x00\x00\x00\x18caretree/v1/recovery-kit\x00\x00\x00\x22" + header + context)
    plaintext = cipher.decrypt_and_verify(box[34:-16], box[-16:])
    assert plaintext.startswith(b"\x01\x00\x00\x00\x20" + secret("member"))
    assert b"\x04\x00\x00\x00\x20" + secret("storage") in plaintext


def test_no_peer_key_is_in_a_kit() -> None:
    held = b"".join(_fields(recovery_kit()).values())
    keys = keystore().peer_keys
    assert keys is not None
    for key in (keys.batch, keys.log, keys.cosigner):
        assert key.seed not in held


def test_blanks_and_line_ends_do_not_matter() -> None:
    typed = "\r\n\r\n" + "\r\n \r\n".join(f"  {line} " for line in LINES)
    assert decode_kit(typed, code=CODE) == recovery_kit()


def test_another_code_is_refused_saying_what_to_do() -> None:
    other = draw_recovery_code(FixedRandom("another code"))
    with pytest.raises(OpeningError, match="check that code and kit belong together"):
        decode_kit(TEXT, code=other)


@pytest.mark.parametrize(
    ("line", "text"),
    [(1, "consortium: other.example"), (2, "member: hospital"), (3, LINES[3].swapcase())],
)
def test_a_changed_line_is_refused(line: int, text: str) -> None:
    changed = [*LINES[:line], text, *LINES[line + 1 :]]
    with pytest.raises((OpeningError, MalformedError)):
        decode_kit("\n".join(changed), code=CODE)


@pytest.mark.parametrize("name", ["care.example", "township"])
def test_a_name_that_is_none_is_refused_by_its_kind(name: str) -> None:
    field = "consortium" if name == "care.example" else "member"
    for wrong in ("\udc89", "\ufffd", "\u4e2d", "A B"):
        with pytest.raises(MalformedError, match=f"^{field}: expected"):
            decode_kit(TEXT.replace(f" {name}\n", f" {wrong}\n", 1), code=CODE)


def test_a_missing_line_is_refused() -> None:
    for line in (0, 1, 2, len(LINES) - 1):
        with pytest.raises(MalformedError, match="recovery kit"):
            decode_kit("\n".join(LINES[:line] + LINES[line + 1 :]), code=CODE)
    with pytest.raises((OpeningError, MalformedError)):
        decode_kit("\n".join(LINES[:4] + LINES[5:]), code=CODE)


def test_a_cut_kit_is_refused_as_cut() -> None:
    with pytest.raises(MalformedError, match="the kit is cut"):
        decode_kit("\n".join(LINES[:6]), code=CODE)


def test_a_newer_kit_is_refused_as_newer() -> None:
    with pytest.raises(NewerFormatError, match="upgrade"):
        decode_kit(TEXT.replace("KIT v1", "KIT v2", 1), code=CODE)


def test_what_is_no_base64_is_refused() -> None:
    for line in ("not base64!", LINES[3] + "A", "\u00e9"):
        with pytest.raises(MalformedError, match="base64"):
            decode_kit("\n".join([*LINES[:3], line, LINES[-1]]), code=CODE)


def test_base64_has_one_form() -> None:
    with pytest.raises(MalformedError, match="canonical"):
        decode_kit("\n".join([*LINES[:3], "AQF=", LINES[-1]]), code=CODE)


def test_a_text_above_the_limit_is_refused() -> None:
    with pytest.raises(MalformedError, match="characters"):
        decode_kit("A" * (KIT_CHARACTERS_MAX + 1), code=CODE)


@pytest.mark.slow
@pytest.mark.parametrize("tag", [1, 2, 3, 4, 5])
def test_a_missing_or_unknown_field_is_refused(tag: int) -> None:
    fields = _fields(recovery_kit())
    fields[tag + 10] = fields.pop(tag)
    for held in (fields, {name: value for name, value in fields.items() if name < 10}):
        box = lock(
            _KIND,
            key=Passphrase(text=CODE.characters),
            context=NAMES,
            plaintext=encode_fields(held),
            random=FixedRandom(),
        )
        with pytest.raises(MalformedError, match="field"):
            decode_kit(armoured(box), code=CODE)


def test_the_longest_authority_key_fits_and_one_byte_more_does_not() -> None:
    full = replace(recovery_kit(), ca_key_pem=bytes(CA_KEY_PEM_BYTES_MAX))
    text = encode_kit(full, code=CODE, random=FixedRandom())
    assert decode_kit(text, code=CODE).ca_key_pem == bytes(CA_KEY_PEM_BYTES_MAX)
    for length in (0, CA_KEY_PEM_BYTES_MAX + 1):
        with pytest.raises(MalformedError, match="PEM"):
            replace(recovery_kit(), ca_key_pem=bytes(length))


@given(st.text(max_size=200))
def test_arbitrary_text_gives_only_our_errors(text: str) -> None:
    for kit in (text, "\n".join([*LINES[:3], text, LINES[-1]])):
        with pytest.raises(CaretreeError):
            decode_kit(kit, code=CODE)


@given(st.binary(max_size=60))
def test_arbitrary_boxes_give_only_our_errors(data: bytes) -> None:
    # A lock other than a passphrase's, so that no example costs half a second.
    with pytest.raises(CaretreeError):
        decode_kit(armoured(b"\x01\x01\x01" + data), code=CODE)


def test_nothing_secret_is_shown() -> None:
    shown = repr(recovery_kit())
    for name in ("member", "sealing", "member secret", "storage"):
        assert repr(secret(name)) not in shown
    assert "BEGIN PRIVATE KEY" not in shown
    assert isinstance(recovery_kit(), RecoveryKit)
