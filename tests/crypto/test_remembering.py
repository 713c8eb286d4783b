"""What a remembering check takes as good: what it saw hold, or what this process signed itself."""

import pytest
from caretree.crypto import remembering
from caretree.crypto.ed25519 import SigningKey, verify
from caretree.crypto.remembering import REMEMBERED_SIGNATURES_MAX, RememberingCheck
from caretree.model.errors import VerificationError

KEY = SigningKey.from_seed(bytes(32))
OTHER = SigningKey.from_seed(b"o" * 32)
MESSAGE = b"message"
SIGNATURE = KEY.sign(MESSAGE)


class Counted:
    """Ed25519 verification that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, public_key: bytes, message: bytes, signature: bytes) -> None:
        self.calls += 1
        verify(public_key, message, signature)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """What the check computes for itself."""
    found = Counted()
    monkeypatch.setattr(remembering, "verify", found)
    return found


def test_a_signature_that_held_is_computed_once(counted: Counted) -> None:
    check = RememberingCheck()
    for _ in range(3):
        check(KEY.public_key, MESSAGE, SIGNATURE)

    assert counted.calls == 1


def test_a_signature_made_here_is_not_computed_at_all(counted: Counted) -> None:
    check = RememberingCheck()
    check.remember(KEY.public_key, MESSAGE, SIGNATURE)
    check(KEY.public_key, MESSAGE, SIGNATURE)
    check(KEY.public_key, b"other", check.signing_with(KEY)(b"other"))

    assert counted.calls == 0


def test_every_other_key_message_or_signature_is_computed_and_refused(counted: Counted) -> None:
    check = RememberingCheck()
    check(KEY.public_key, MESSAGE, SIGNATURE)
    flipped = [
        SIGNATURE[:place] + bytes((SIGNATURE[place] ^ (1 << bit),)) + SIGNATURE[place + 1 :]
        for place in range(len(SIGNATURE))
        for bit in range(8)
    ]
    others = [
        (OTHER.public_key, MESSAGE, SIGNATURE),
        (KEY.public_key, MESSAGE + b" ", SIGNATURE),
        *((KEY.public_key, MESSAGE, signature) for signature in flipped),
    ]
    for other in others:
        with pytest.raises(VerificationError):
            check(*other)

    assert counted.calls == 1 + len(others)


def test_so_many_are_remembered_and_the_oldest_goes_first(counted: Counted) -> None:
    check = RememberingCheck()
    messages = [b"%d" % number for number in range(REMEMBERED_SIGNATURES_MAX + 1)]
    for message in messages:
        check.remember(KEY.public_key, message, KEY.sign(message))
    for message in (messages[-1], messages[0]):
        check(KEY.public_key, message, KEY.sign(message))

    assert counted.calls == 1
    assert len(check._good) == REMEMBERED_SIGNATURES_MAX
