"""Who acts in the tests of the ledger: invented patients, actors and readers."""

import hashlib
from typing import Final

from caretree.crypto.custody import SEALED_KEY_BYTES
from caretree.crypto.x25519 import SealingKey
from caretree.ledger.access import Reader
from caretree.ledger.values import FIRST_PAGE_BEFORE, Actor, Page, Patient, Purpose, Role
from caretree.model.ids import MemberId, Pseudonym
from typing_extensions import override

from tests.ledger.builders import FixedCustody

FIRST_PAGE: Final = Page(before=FIRST_PAGE_BEFORE, size=100)
TREATMENT: Final = Purpose.TREATMENT


class QuickCustody(FixedCustody):
    """Custody whose sealed keys open for nobody: for tests in which nobody opens any."""

    @override
    def seal_to(self, public_key: bytes, *, info: bytes, secret: bytes) -> bytes:
        return hashlib.shake_256(public_key + info).digest(SEALED_KEY_BYTES)

    @override
    def open_sealed(self, sealing_key: SealingKey, *, info: bytes, sealed: bytes) -> bytes:
        raise AssertionError("a quick custody seals for good")


def patient(name: str) -> Patient:
    """The patient whose pseudonym follows from an invented name."""
    digest = hashlib.sha256(name.encode()).digest()
    return Patient(pseudonym_epoch=1, pseudonym=Pseudonym(digest))


def actor(role: Role = Role.PHYSICIAN, principal: str = "doctor-li") -> Actor:
    """Someone acting in this role."""
    return Actor(principal=principal, person="", role=role)


def reader(
    member: MemberId,
    *,
    role: Role = Role.PHYSICIAN,
    principal: str = "doctor-li",
    purpose: Purpose = TREATMENT,
) -> Reader:
    """Someone of this member who asks to read."""
    return Reader(actor=actor(role, principal), member=member, purpose=purpose)


PATIENT: Final = patient("the patient")
OTHER_PATIENT: Final = patient("another patient")
