"""A new member before anything of it is written: keys, certificates, join request, recovery kit."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from caretree.cli.asking import Ask, have_code_typed_back
from caretree.cli.certificates import Authority, Issued, create_authority, issue_peer
from caretree.cli.errors import CommandError
from caretree.cli.templates import Listening, daemon_config
from caretree.config.section import is_address, split_address
from caretree.crypto.custody import SystemRandom
from caretree.crypto.ed25519 import SigningKey
from caretree.crypto.keystore import Keystore, PeerKeys
from caretree.crypto.kit import RecoveryKit, decode_kit, encode_kit
from caretree.crypto.recovery_code import draw_recovery_code
from caretree.crypto.suite import KEY_BYTES
from caretree.crypto.x25519 import SealingKey
from caretree.ledger.invitations import make_join_request, parse_invitation
from caretree.ledger.members import Member, Peer, make_peer
from caretree.model.ids import MemberId, parse_member_id

NO_HTTP: Final = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMember:
    """All that `init` makes before anything is written."""

    keystore: Keystore
    authority: Authority
    peer: Issued
    join_request: bytes
    config: str


def check_listening(address: str, *, client: str, peer: str | None, http: str) -> Listening:
    """Where a peer that others reach at `address` listens, as the options say.

    Raises:
        CommandError: one is no host:port, or two are the same.
    """
    named = {"--address": address, "--client-listen": client}
    if peer is not None:
        named["--peer-listen"] = peer
    if http != NO_HTTP:
        named["--http-listen"] = http
    for option, value in named.items():
        if not is_address(value):
            raise CommandError(
                f"{option}: expected host:port", next_step="Write it like 10.1.0.5:7402."
            )
    _, port = split_address(address)
    listening = Listening(
        client=client, peer=peer or f"0.0.0.0:{port}", http=None if http == NO_HTTP else http
    )
    if len({listening.client, listening.peer, listening.http}) < 3:
        raise CommandError(
            "two of the listening addresses are the same", next_step="Give each its own port."
        )
    return listening


def make_member(
    invitation: bytes, *, member: str, display_name: str, address: str, listening: Listening
) -> NewMember:
    """A new member's keys, certificates, join request and configuration.

    Raises:
        MalformedError: the invitation is none, or a name or address is not as it must be.
        CeremonyError: the member is not invited.
    """
    invited, name, random = parse_invitation(invitation), parse_member_id(member), SystemRandom()
    now = datetime.now(UTC)
    authority = create_authority(consortium=invited.consortium, member=name, now=now)
    keys = PeerKeys(batch=_signing_key(), log=_signing_key(), cosigner=_signing_key())
    keystore = Keystore(
        consortium=invited.consortium,
        member=name,
        member_key=_signing_key(),
        sealing_key=SealingKey.from_private(random.random_bytes(KEY_BYTES)),
        member_secret=random.random_bytes(KEY_BYTES),
        storage_key=random.random_bytes(KEY_BYTES),
        pseudonym_keys=(),
        peer_keys=keys,
    )
    peer = _peer(name, keys, address)
    asked = Member(
        member=name,
        display_name=display_name,
        member_key=keystore.member_key.public_key,
        sealing_key=keystore.sealing_key.public_key,
        ca_certificate=authority.certificate_der(),
        sealed_pseudonym_key=b"",
        peers=(peer,),
    )
    return NewMember(
        keystore=keystore,
        authority=authority,
        peer=issue_peer(
            authority,
            consortium=invited.consortium,
            member=name,
            peer=peer.peer,
            now=now,
            key_pem=None,
        ),
        join_request=make_join_request(invitation, member=asked, sign=keystore.member_key.sign),
        config=daemon_config(
            member=name, display_name=display_name, advertised=address, listening=listening
        ),
    )


def make_kit(made: NewMember, ask: Ask) -> str:
    """The recovery kit, once its code was typed back and has opened it.

    Raises:
        CommandError: the code was not typed back.
    """
    random, keystore = SystemRandom(), made.keystore
    code = draw_recovery_code(random)
    kit = RecoveryKit(
        consortium=keystore.consortium,
        member=keystore.member,
        member_key=keystore.member_key,
        sealing_key=keystore.sealing_key,
        member_secret=keystore.member_secret,
        storage_key=keystore.storage_key,
        ca_key_pem=made.authority.key_pem(),
    )
    text = encode_kit(kit, code=code, random=random)
    have_code_typed_back(code, ask)
    assert decode_kit(text, code=code) == kit
    return text


def _signing_key() -> SigningKey:
    return SigningKey.from_seed(SystemRandom().random_bytes(KEY_BYTES))


def _peer(member: MemberId, keys: PeerKeys, address: str) -> Peer:
    return make_peer(
        member=member,
        batch_key=keys.batch.public_key,
        log_key=keys.log.public_key,
        cosigner_key=keys.cosigner.public_key,
        voter=True,
        signer=True,
        address=address,
    )
