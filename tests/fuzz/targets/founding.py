"""The files of the founding ceremony, whole and with contents that only an insider could sign."""

from collections.abc import Iterator
from functools import cache
from typing import Final

from caretree.crypto.framing import LABEL_JOIN, length_prefixed
from caretree.ledger.armour import Armour, format_armour, parse_armour
from caretree.ledger.ceremony import check_founded, combine, parse_genesis_file
from caretree.ledger.genesis import parse_genesis
from caretree.ledger.invitations import CeremonyError, parse_invitation, parse_join_request
from caretree.model.errors import MalformedError
from caretree.proto.ledger.v1 import genesis_pb2

from tests.fuzz.target import Shape, Target
from tests.ledger.builders import founders
from tests.ledger.founding import (
    FOUNDERS,
    MEMBERS,
    founding,
    invitation,
    request,
    signature,
    signatures,
)

_TOWN: Final = FOUNDERS[MEMBERS[0]]
_OTHERS: Final = tuple(FOUNDERS[member] for member in MEMBERS[1:])
_ARMOUR_WORDS: Final = (
    *(f"{kind.value}\n".encode() for kind in Armour),
    b"caretree invitation v2\n",
    b"sha256 ",
)


def founded() -> bytes:
    """The founded genesis, signed by all."""
    return combine(founding(), signatures=signatures())


def _run_armour(data: bytes) -> None:
    """The kind is the one that the file names, if any."""
    first = data.partition(b"\n")[0].strip().decode(errors="replace")
    kind = next((kind for kind in Armour if kind.value == first), Armour.GENESIS)
    content = parse_armour(kind, data)
    assert parse_armour(kind, format_armour(kind, content)) == content


def _run_invitation_content(data: bytes) -> None:
    parse_invitation(format_armour(Armour.INVITATION, data))


def _run_join_content(data: bytes) -> None:
    """Signed by the town's member key, whatever it says."""
    signed = genesis_pb2.SignedJoinRequest(
        join_request=data, signature=_TOWN.member_key.sign(length_prefixed(LABEL_JOIN, data))
    )
    parse_join_request(format_armour(Armour.JOIN_REQUEST, signed.SerializeToString()))


def _run_genesis(data: bytes) -> None:
    genesis = parse_genesis(data)
    assert genesis.encoded == data
    assert genesis.certification_quorum <= len(genesis.signers)


def _run_founded(data: bytes) -> None:
    expected = founders().genesis
    assert check_founded(data, expected_hash=expected.hash) == expected


def _run_founded_content(data: bytes) -> None:
    _run_founded(format_armour(Armour.FOUNDED_GENESIS, data))


def _run_signature(data: bytes) -> None:
    """The town's signature file among those of the others."""
    combine(founding_file(), signatures=[data, *_other_signatures()])


@cache
def _other_signatures() -> tuple[bytes, ...]:
    return tuple(signature(one) for one in _OTHERS)


def founding_file() -> bytes:
    """The genesis file, nobody's signature on it."""
    return format_armour(Armour.GENESIS, founders().genesis.encoded)


def _content(kind: Armour, *files: bytes) -> Iterator[bytes]:
    for file in files:
        yield parse_armour(kind, file)


_ERRORS: Final = (MalformedError, CeremonyError)

TARGETS: Final = (
    Target(
        name="armour",
        run=_run_armour,
        errors=(MalformedError,),
        seeds=lambda: [invitation(), founding_file()],
        covers=(parse_armour,),
        shape=Shape.TEXT,
        words=_ARMOUR_WORDS,
    ),
    Target(
        name="invitation",
        run=parse_invitation,
        errors=(MalformedError,),
        seeds=lambda: [invitation()],
        covers=(parse_invitation,),
        shape=Shape.TEXT,
        words=_ARMOUR_WORDS,
    ),
    Target(
        name="invitation-content",
        run=_run_invitation_content,
        errors=(MalformedError,),
        seeds=lambda: _content(Armour.INVITATION, invitation()),
        covers=(parse_invitation,),
        shape=Shape.PROTO,
    ),
    Target(
        name="join-request",
        run=parse_join_request,
        errors=_ERRORS,
        seeds=lambda: [request(_TOWN)],
        covers=(parse_join_request,),
        shape=Shape.TEXT,
        words=_ARMOUR_WORDS,
    ),
    Target(
        name="join-request-content",
        run=_run_join_content,
        errors=_ERRORS,
        seeds=lambda: [
            genesis_pb2.SignedJoinRequest.FromString(content).join_request
            for content in _content(Armour.JOIN_REQUEST, request(_TOWN))
        ],
        covers=(parse_join_request,),
        shape=Shape.PROTO,
        may_show=(CeremonyError,),
    ),
    Target(
        name="genesis",
        run=_run_genesis,
        errors=(MalformedError,),
        seeds=lambda: [founders().genesis.encoded],
        covers=(parse_genesis,),
        shape=Shape.PROTO,
    ),
    Target(
        name="genesis-file",
        run=parse_genesis_file,
        errors=(MalformedError,),
        seeds=lambda: [founding_file()],
        covers=(parse_genesis_file,),
        shape=Shape.TEXT,
        words=_ARMOUR_WORDS,
    ),
    Target(
        name="founder-signature",
        run=_run_signature,
        errors=_ERRORS,
        seeds=lambda: [signature(_TOWN)],
        covers=(combine,),
        shape=Shape.TEXT,
        words=_ARMOUR_WORDS,
        may_show=(CeremonyError,),
    ),
    Target(
        name="founded-genesis",
        run=_run_founded,
        errors=_ERRORS,
        seeds=lambda: [founded()],
        covers=(check_founded,),
        shape=Shape.TEXT,
        words=_ARMOUR_WORDS,
        may_show=(CeremonyError,),
    ),
    Target(
        name="founded-genesis-content",
        run=_run_founded_content,
        errors=_ERRORS,
        seeds=lambda: _content(Armour.FOUNDED_GENESIS, founded()),
        covers=(check_founded,),
        shape=Shape.PROTO,
        may_show=(CeremonyError,),
    ),
)
