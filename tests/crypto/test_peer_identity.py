import hashlib

import pytest
from caretree.crypto.peer_identity import _nonzero, derive_peer_id
from caretree.model.errors import MalformedError
from caretree.model.ids import PeerId

from tests.crypto.builders import keystore, secret


def peer_id(batch: str = "batch", log: str = "log", cosigner: str = "cosigner") -> PeerId:
    return derive_peer_id(
        batch_key=secret(batch), log_key=secret(log), cosigner_key=secret(cosigner)
    )


def test_a_peer_id_is_the_beginning_of_the_hash_of_its_layout() -> None:
    layout = b"\x00\x00\x00\x13caretree/v1/peer-id"
    for name in ("batch", "log", "cosigner"):
        layout += b"\x00\x00\x00\x20" + secret(name)
    assert peer_id().to_bytes(8, "big") == hashlib.sha256(layout).digest()[:8]


def test_known_answer_of_a_peer_id() -> None:
    assert f"{peer_id():016x}" == "5d5e790ebde20486"


def test_each_key_and_its_place_moves_the_id() -> None:
    others = {
        peer_id(batch="x"),
        peer_id(log="x"),
        peer_id(cosigner="x"),
        peer_id(batch="log", log="batch"),
    }
    assert len(others | {peer_id()}) == 5


def test_id_0_is_refused() -> None:
    with pytest.raises(MalformedError, match="reserved"):
        _nonzero(0)


def test_a_public_key_has_32_bytes() -> None:
    with pytest.raises(MalformedError, match="peer keys"):
        derive_peer_id(batch_key=bytes(31), log_key=bytes(32), cosigner_key=bytes(32))


def test_peer_keys_know_their_id() -> None:
    keys = keystore().peer_keys
    assert keys is not None
    assert keys.peer_id() == derive_peer_id(
        batch_key=keys.batch.public_key,
        log_key=keys.log.public_key,
        cosigner_key=keys.cosigner.public_key,
    )
