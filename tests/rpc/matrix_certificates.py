"""A certificate for every caller of the matrix, in every state that one can be in."""

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Final

from caretree.config.values import Principal, PrincipalKind
from caretree.ledger.values import Role
from caretree.model.ids import MemberId, PeerId, show_peer_id
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from tests.certificates import Authority, KeyPair, make_authority, self_signed
from tests.ledger.builders import CONSORTIUM, HOSPITAL, TOWN
from tests.rpc.matrix_policy import CALLERS, Caller, Kind, State, is_peer
from tests.rpc.serving import trusted

OTHER_CONSORTIUM: Final = "elsewhere.example"
UNFOUNDED: Final = PeerId(5)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_MONTH: Final = timedelta(days=30)
_KINDS: Final = {
    Kind.SYSTEM: PrincipalKind.SYSTEM,
    Kind.PERSON: PrincipalKind.PERSON,
    Kind.OPERATOR: PrincipalKind.OPERATOR,
}


def listed() -> tuple[Principal, ...]:
    """The callers that the town's configuration lists."""
    return tuple(
        Principal(name=name_of(caller), kind=_KINDS[caller.kind], roles=_roles(caller))
        for caller in CALLERS
        if caller.kind in _KINDS
    )


def name_of(caller: Caller) -> str:
    """A principal's name. The foreign one bears that of a person whom the town lists."""
    kind = Kind.PERSON if caller.kind is Kind.FOREIGN else caller.kind
    return f"{kind.value}-{caller.role}{'' if caller.held else '-not'}".replace(" ", "-")


def pair_of(caller: Caller, state: State) -> KeyPair | None:
    """The caller's certificate in this state, with its key; None in the state of having none."""
    if state is State.NONE:
        return None
    if state is State.SELF_SIGNED:
        return self_signed(uri=_uri(caller))
    nameless = state is State.WRONG_NAME
    return _authority(caller, state).issue(
        uris=[] if nameless else [_named(caller, state)],
        names=["localhost"] if nameless else [],
        lifetime=_HOUR if state is State.EXPIRED else _MONTH,
        begins=_HOUR if state is State.NOT_YET_VALID else -_DAY,
    )


def fingerprint_of(pair: KeyPair) -> str:
    """What a deny list says of the certificate."""
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    return certificate.fingerprint(SHA256()).hex()


@cache
def _former(consortium: str) -> Mapping[MemberId, Authority]:
    """Authorities that bear the names of those that count."""
    return {member: make_authority(consortium, member) for member in (TOWN, HOSPITAL)}


def _authority(caller: Caller, state: State) -> Authority:
    member = _member(caller)
    if state is State.WRONG_AUTHORITY:
        return trusted().authorities[TOWN if member == HOSPITAL else HOSPITAL]
    if state is State.FORMER_AUTHORITY:
        return _former(CONSORTIUM)[member]
    if state is State.WRONG_CONSORTIUM:
        return _former(OTHER_CONSORTIUM)[member]
    return trusted().authorities[member]


def _named(caller: Caller, state: State) -> str:
    if state is State.OTHER_KIND:
        return _uri_of_other_kind(caller)
    if state in {State.WRONG_CONSORTIUM, State.FOREIGN_NAME}:
        return _uri(caller, consortium=OTHER_CONSORTIUM)
    return _uri(caller)


def _member(caller: Caller) -> MemberId:
    return HOSPITAL if caller.kind in {Kind.FOREIGN, Kind.OTHER_PEER} else TOWN


def _uri(caller: Caller, *, consortium: str = CONSORTIUM) -> str:
    member = _member(caller)
    if not is_peer(caller):
        return f"spiffe://{consortium}/{member}/principal/{name_of(caller)}"
    founded = trusted().consortium[member].peer.peer
    peer = UNFOUNDED if caller.kind is Kind.UNFOUNDED_PEER else founded
    return f"spiffe://{consortium}/{member}/peer/{show_peer_id(peer)}"


def _uri_of_other_kind(caller: Caller) -> str:
    member = _member(caller)
    if is_peer(caller):
        return f"spiffe://{CONSORTIUM}/{member}/principal/{name_of(caller)}"
    return f"spiffe://{CONSORTIUM}/{member}/peer/{show_peer_id(UNFOUNDED)}"


def _roles(caller: Caller) -> frozenset[Role]:
    if caller.kind is Kind.OPERATOR:
        return frozenset()
    return frozenset((Role[caller.role.upper()],)) if caller.held else frozenset((Role.NURSE,))
