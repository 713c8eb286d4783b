"""The ceremony of the three founders, step by step, for its tests."""

from collections.abc import Callable
from dataclasses import dataclass

from caretree.crypto.custody import open_sealed
from caretree.crypto.x25519 import SealingKey
from caretree.ledger.armour import Armour, format_armour, parse_armour
from caretree.ledger.ceremony import (
    Unseal,
    combine,
    found,
    sign_genesis,
)
from caretree.ledger.invitations import (
    create_invitation,
    make_join_request,
)
from caretree.model.ids import MemberId
from caretree.proto.ledger.v1 import genesis_pb2

from tests.ledger.builders import (
    CONSORTIUM,
    FOUNDED_MS,
    HOSPITAL,
    IDENTIFIER_SYSTEMS,
    OFFICE,
    PSEUDONYM_KEY,
    TOWN,
    Founder,
    founder,
    founders,
)

MEMBERS = (TOWN, HOSPITAL, OFFICE)
FOUNDERS = {member: founder(member) for member in MEMBERS}
KNOWN_SEALED = {
    member.sealing_key: member.sealed_pseudonym_key for member in founders().genesis.members
}


def invitation(*, nonce: bytes = b"n" * 16, members: tuple[MemberId, ...] = MEMBERS) -> bytes:
    """An invitation to the three."""
    return create_invitation(
        consortium=CONSORTIUM, identifier_systems=IDENTIFIER_SYSTEMS, members=members, nonce=nonce
    )


def request(one: Founder, *, invited: bytes | None = None) -> bytes:
    """A founder's join request."""
    return make_join_request(
        invited or invitation(), member=one.as_member(), sign=one.member_key.sign
    )


def requests() -> list[bytes]:
    """All join requests, in another order than the invitation's."""
    return [request(FOUNDERS[member]) for member in (OFFICE, TOWN, HOSPITAL)]


def sealed_once(public_key: bytes, /, *, info: bytes, secret: bytes) -> bytes:
    """The sealed key that the fixed genesis has; sealing itself draws chance."""
    del info
    assert secret == PSEUDONYM_KEY
    return KNOWN_SEALED[public_key]


def founding() -> bytes:
    """The genesis file of the three founders."""
    return found(
        invitation(),
        requests=requests(),
        pseudonym_key=PSEUDONYM_KEY,
        seal=sealed_once,
        time_ms=FOUNDED_MS,
    )


@dataclass(frozen=True)
class Unsealing:
    """Opens with one sealing key."""

    key: SealingKey

    def __call__(self, *, info: bytes, sealed: bytes) -> bytes:
        return open_sealed(self.key, info=info, sealed=sealed)


def signature(
    one: Founder,
    *,
    genesis: bytes | None = None,
    unseal: Unseal | None = None,
    sign: Callable[[bytes], bytes] | None = None,
) -> bytes:
    """A founder's signature file."""
    return sign_genesis(
        genesis or founding(),
        invitation=invitation(),
        request=request(one),
        unseal=unseal or Unsealing(one.sealing),
        sign=sign or one.member_key.sign,
    )


def signatures() -> list[bytes]:
    """All founders' signature files."""
    return [signature(one) for one in FOUNDERS.values()]


def altered(edit: Callable[[genesis_pb2.Genesis], object]) -> bytes:
    """The genesis file after a change that its collector made."""
    message = genesis_pb2.Genesis.FromString(parse_armour(Armour.GENESIS, founding()))
    edit(message)
    return format_armour(Armour.GENESIS, message.SerializeToString())


def founded_by(*signed: genesis_pb2.FounderSignature) -> bytes:
    """A founded genesis file with exactly these signatures."""
    message = genesis_pb2.FoundedGenesis(genesis=founders().genesis.encoded, signatures=signed)
    return format_armour(Armour.FOUNDED_GENESIS, message.SerializeToString())


def all_signed() -> list[genesis_pb2.FounderSignature]:
    """The signatures of a founded genesis, as messages."""
    file = parse_armour(Armour.FOUNDED_GENESIS, combine(founding(), signatures=signatures()))
    return list(genesis_pb2.FoundedGenesis.FromString(file).signatures)
