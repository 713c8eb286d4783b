"""Fixed keys, contexts and "randomness" for the tests of this room."""

import hashlib
from typing import Final

from caretree.crypto.ed25519 import SigningKey
from caretree.crypto.keyring import KeyringContext
from caretree.crypto.keystore import Keystore, PeerKeys, PseudonymKey
from caretree.crypto.kit import RecoveryKit
from caretree.crypto.random_source import RandomSource
from caretree.crypto.sealing import RecordContext
from caretree.crypto.x25519 import SealingKey
from caretree.model.ids import MemberId, Origin, Pseudonym, RecordId
from typing_extensions import override

ORIGIN: Final = Origin("care.example/0011aabb")
TOWNSHIP: Final = MemberId("township")
HOSPITAL: Final = MemberId("hospital")


def secret(name: str) -> bytes:
    """32 fixed bytes that stand for the secret of this name."""
    return hashlib.sha256(f"test secret: {name}".encode()).digest()


def nonce(name: str) -> bytes:
    """12 fixed bytes that stand for a nonce."""
    return secret(f"nonce {name}")[:12]


class FixedRandom(RandomSource):
    """A stream of bytes that is the same in every test."""

    def __init__(self, seed: str = "stream") -> None:
        self._seed = seed
        self._drawn = 0

    @override
    def random_bytes(self, length: int) -> bytes:
        drawn = b""
        while len(drawn) < length:
            drawn += secret(f"{self._seed} {self._drawn}")
            self._drawn += 1
        return drawn[:length]


def record_context(
    origin: Origin = ORIGIN, custodian: MemberId = TOWNSHIP, record: str = "record"
) -> RecordContext:
    """The context of one record, or of another one where an argument says so."""
    return RecordContext(
        origin=origin, custodian=custodian, record_id=RecordId(secret(record)[:16])
    )


def keyring_context(
    origin: Origin = ORIGIN, custodian: MemberId = TOWNSHIP, patient: str = "patient"
) -> KeyringContext:
    """The context of one keyring, or of another one where an argument says so."""
    return KeyringContext(
        origin=origin, custodian=custodian, pseudonym=Pseudonym(secret(f"pseudonym {patient}"))
    )


def keystore(*, founded: bool = True) -> Keystore:
    """A keystore with every field, or as it is before the consortium is founded."""
    peer_keys = PeerKeys(
        batch=SigningKey.from_seed(secret("batch")),
        log=SigningKey.from_seed(secret("log")),
        cosigner=SigningKey.from_seed(secret("cosigner")),
    )
    pseudonym_keys = (
        PseudonymKey(epoch=1, key=secret("pseudonym key 1")),
        PseudonymKey(epoch=4, key=secret("pseudonym key 4")),
    )
    return Keystore(
        consortium="care.example",
        member=TOWNSHIP,
        member_key=SigningKey.from_seed(secret("member")),
        sealing_key=SealingKey.from_private(secret("sealing")),
        member_secret=secret("member secret"),
        storage_key=secret("storage"),
        pseudonym_keys=pseudonym_keys if founded else (),
        peer_keys=peer_keys if founded else None,
    )


def recovery_kit() -> RecoveryKit:
    """A recovery kit of the same member."""
    source = keystore()
    return RecoveryKit(
        consortium=source.consortium,
        member=source.member,
        member_key=source.member_key,
        sealing_key=source.sealing_key,
        member_secret=source.member_secret,
        storage_key=source.storage_key,
        ca_key_pem=b"-----BEGIN PRIVATE KEY-----\nno key, but as long\n-----END PRIVATE KEY-----\n",
    )
