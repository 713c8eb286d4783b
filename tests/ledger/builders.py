"""A consortium of three with fixed keys, and fixed chance, for every test of the ledger.

consortium = founders()
consortium.genesis                      parsed, the same bytes in every run
consortium[TOWN].peer.batch.sign(...)   each founder's keys
FixedRandom(7).random_bytes(32)         the same bytes for the same seed
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from caretree.crypto.custody import Custody, open_sealed, seal_to
from caretree.crypto.ed25519 import SigningKey
from caretree.crypto.peer_identity import derive_peer_id
from caretree.crypto.pseudonym import pseudonym_key_seal_info
from caretree.crypto.resident_number import RESIDENT_NUMBER_SYSTEM
from caretree.crypto.x25519 import SealingKey
from caretree.ledger.genesis import FIRST_PSEUDONYM_EPOCH, Genesis, encode_genesis, parse_genesis
from caretree.ledger.members import Member, Peer, make_peer
from caretree.model.ids import MemberId, Origin, PeerId, TimeMs
from typing_extensions import override

CONSORTIUM: Final = "changzhou.example"
TOWN: Final = MemberId("town")
HOSPITAL: Final = MemberId("hospital")
OFFICE: Final = MemberId("office")
DISPLAY_NAMES: Final = {TOWN: "Township Health Centre", HOSPITAL: "区医院", OFFICE: "Health Office"}
IDENTIFIER_SYSTEMS: Final = (RESIDENT_NUMBER_SYSTEM, "urn:example:card")
FOUNDED_MS: Final = TimeMs(1_767_225_600_000)  # 2026-01-01 00:00:00 UTC
PSEUDONYM_KEY: Final = hashlib.sha256(b"pseudonym key").digest()

# The pseudonym key as custody sealed it once to each founder's sealing key; sealing draws chance.
_SEALED_PSEUDONYM_KEYS: Final = {
    TOWN: (
        "0101f3a7af0a41c8061b71ab0c193176c9415edf0d27a4a35b90ebff5e8c6727be2325300e970fefa4"
        "f706ab3ba8c8337e36c38ba7334ed3e120e040479d923ef42384e87b0fd7e7922461a4a9fdde332061"
    ),
    HOSPITAL: (
        "0101142ebe390483b22cd264199d5222089c63667f3e9391ddc6912e7beafe7d2f69052b5d5f275dbd"
        "99080d7d2a2bbd50b499c9b868c5bec7d834568d2fc5f4832e95fc755baa5cee396bee3f75f522932d"
    ),
    OFFICE: (
        "0101d6ffdab271467c43c15e651eb29648df1dd08176e55d4d0ed659fc6bb78a85214f7763834ada2e"
        "2fd835a606868a4263e9009df7245ae9cb15be0c26fbb33c950278f4c20f950d2d529cb873c46b0ebf"
    ),
}


class FixedRandom:
    """The same bytes for the same seed, for ever."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._drawn = 0

    def random_bytes(self, length: int) -> bytes:
        """The next `length` bytes."""
        self._drawn += 1
        return hashlib.shake_256(f"{self._seed}/{self._drawn}".encode()).digest(length)


class FixedCustody(FixedRandom, Custody):
    """Custody whose own draws are fixed; HPKE still draws for itself."""

    @override
    def seal_to(self, public_key: bytes, *, info: bytes, secret: bytes) -> bytes:
        return seal_to(public_key, info=info, secret=secret)

    @override
    def open_sealed(self, sealing_key: SealingKey, *, info: bytes, sealed: bytes) -> bytes:
        return open_sealed(sealing_key, info=info, sealed=sealed)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerKeys:
    """A peer's id and its three private keys."""

    peer: PeerId
    batch: SigningKey
    log: SigningKey
    cosigner: SigningKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Founder:
    """A member and all that it keeps secret."""

    member: MemberId
    member_key: SigningKey
    sealing: SealingKey
    secret: bytes
    ca_certificate: bytes
    peer: PeerKeys
    voter: bool = True
    signer: bool = True

    def as_member(self, *, sealed_pseudonym_key: bytes = b"") -> Member:
        """What the genesis, or without the sealed key a join request, says of it."""
        return Member(
            member=self.member,
            display_name=DISPLAY_NAMES.get(self.member, str(self.member)),
            member_key=self.member_key.public_key,
            sealing_key=self.sealing.public_key,
            ca_certificate=self.ca_certificate,
            sealed_pseudonym_key=sealed_pseudonym_key,
            peers=(self.as_peer(),),
        )

    def as_peer(self) -> Peer:
        """What the genesis says of its peer."""
        return make_peer(
            member=self.member,
            batch_key=self.peer.batch.public_key,
            log_key=self.peer.log.public_key,
            cosigner_key=self.peer.cosigner.public_key,
            voter=self.voter,
            signer=self.signer,
            address=f"{self.member}.example:7400",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Consortium:
    """A genesis and its founders with their keys."""

    genesis: Genesis
    founders: tuple[Founder, ...]
    pseudonym_key: bytes

    def __getitem__(self, member: MemberId) -> Founder:
        return next(founder for founder in self.founders if founder.member == member)

    @property
    def origin(self) -> Origin:
        """The genesis' origin."""
        return self.genesis.origin


def founder(
    name: str, *, seed: str = "", peer_seed: str = "", voter: bool = True, signer: bool = True
) -> Founder:
    """A founder whose keys follow from its name and the seeds alone."""
    base, peer_base = f"{seed}{name}", f"{peer_seed}{seed}{name}"
    batch, log, cosigner = (
        SigningKey.from_seed(_seed(f"{peer_base}/{purpose}"))
        for purpose in ("batch", "log", "cosigner")
    )
    return Founder(
        member=MemberId(name),
        member_key=SigningKey.from_seed(_seed(f"{base}/member")),
        sealing=SealingKey.from_private(_seed(f"{base}/sealing")),
        secret=_seed(f"{base}/secret"),
        ca_certificate=b"\x30\x20" + _seed(f"{base}/authority"),
        peer=PeerKeys(
            peer=derive_peer_id(
                batch_key=batch.public_key,
                log_key=log.public_key,
                cosigner_key=cosigner.public_key,
            ),
            batch=batch,
            log=log,
            cosigner=cosigner,
        ),
        voter=voter,
        signer=signer,
    )


@lru_cache(maxsize=1)
def founders() -> Consortium:
    """The town's centre, the hospital and the office, each with one voting peer."""
    trio = tuple(founder(name) for name in (TOWN, HOSPITAL, OFFICE))
    return found(trio, sealed_keys=[bytes.fromhex(_SEALED_PSEUDONYM_KEYS[m.member]) for m in trio])


def found(members: Sequence[Founder], *, sealed_keys: Sequence[bytes] | None = None) -> Consortium:
    """A consortium of these founders; without `sealed_keys` the pseudonym key is sealed anew."""
    if sealed_keys is None:
        sealed_keys = [seal_pseudonym_key(member) for member in members]
    encoded = encode_genesis(
        consortium=CONSORTIUM,
        time_ms=FOUNDED_MS,
        identifier_systems=IDENTIFIER_SYSTEMS,
        members=[
            member.as_member(sealed_pseudonym_key=sealed)
            for member, sealed in zip(members, sealed_keys, strict=True)
        ],
    )
    return Consortium(
        genesis=parse_genesis(encoded), founders=tuple(members), pseudonym_key=PSEUDONYM_KEY
    )


def pseudonym_info(member: MemberId) -> bytes:
    """The HPKE info under which the pseudonym key is sealed to a member."""
    return pseudonym_key_seal_info(
        consortium=CONSORTIUM, epoch=FIRST_PSEUDONYM_EPOCH, recipient=member
    )


def seal_pseudonym_key(member: Founder) -> bytes:
    """The pseudonym key sealed to a founder, other bytes each time."""
    info = pseudonym_info(member.member)
    return seal_to(member.sealing.public_key, info=info, secret=PSEUDONYM_KEY)


def _seed(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
