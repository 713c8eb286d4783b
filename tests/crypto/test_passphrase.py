import hashlib

import pytest
from caretree.crypto.passphrase import LOG2_N, LOG2_N_MAX, Cost, stretch
from caretree.model.errors import MalformedError

SALT = bytes(range(16))
COST = Cost(log2_n=LOG2_N, salt=SALT)


def test_the_layout_of_a_cost() -> None:
    assert COST.encode() == bytes((17, 8, 1)) + SALT
    assert Cost.decode(COST.encode(), field="keystore") == COST


def test_the_key_is_the_scrypt_of_another_library() -> None:
    theirs = hashlib.scrypt(b"correct horse", salt=SALT, n=2**17, r=8, p=1, maxmem=2**28, dklen=32)
    assert stretch("correct horse", COST) == theirs


def test_a_passphrase_may_be_typed_on_another_keyboard() -> None:
    cheap = Cost(log2_n=4, salt=SALT)
    assert stretch("\uff21\u00e9", cheap) == stretch("Ae\u0301", cheap)


@pytest.mark.parametrize("passphrase", ["", "\ud800"])
def test_what_is_no_passphrase_is_refused(passphrase: str) -> None:
    with pytest.raises(MalformedError, match="passphrase"):
        stretch(passphrase, COST)


@pytest.mark.parametrize("log2_n", [LOG2_N, LOG2_N_MAX])
def test_costs_within_the_bounds_are_taken(log2_n: int) -> None:
    assert Cost.decode(bytes((log2_n, 8, 1)) + SALT, field="keystore").log2_n == log2_n


@pytest.mark.parametrize(
    "encoded",
    [
        bytes((LOG2_N - 1, 8, 1)) + SALT,
        bytes((LOG2_N_MAX + 1, 8, 1)) + SALT,
        bytes((255, 8, 1)) + SALT,
        bytes((17, 9, 1)) + SALT,
        bytes((17, 8, 2)) + SALT,
        COST.encode()[:-1],
        b"",
    ],
)
def test_other_costs_are_refused_before_they_are_paid(encoded: bytes) -> None:
    with pytest.raises(MalformedError, match="keystore"):
        Cost.decode(encoded, field="keystore")
