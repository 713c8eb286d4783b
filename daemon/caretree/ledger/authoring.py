"""How a member's peer makes entries: what happened, sealed and committed to, as leaf and opening.

Chance comes as a RandomSource, and sealing to members as Custody: salts, nonces, record keys and
epoch keys are drawn from these and from nowhere else. Nothing here asks whether the entry will take
effect; that is decided at its position, by `decide`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from caretree.crypto.aead import NONCE_BYTES, OpeningError
from caretree.crypto.commitments import (
    SALT_BYTES,
    LeafCommitter,
    content_key,
    leaf_committer,
    verify_content,
)
from caretree.crypto.custody import Custody
from caretree.crypto.keyring import (
    KeyringContext,
    chain_previous,
    key_id,
    keyring_seal_info,
)
from caretree.crypto.random_source import RandomSource
from caretree.crypto.sealing import (
    RECORD_SECRETS_BYTES,
    RecordContext,
    RecordSealer,
    open_content,
    payload_digest,
    unwrap_record_key,
)
from caretree.crypto.suite import KEY_BYTES
from caretree.ledger.bodies import encode_body
from caretree.ledger.key_paths import EpochKey
from caretree.ledger.leaves import encode_entry_leaf
from caretree.ledger.payloads import encode_payload, parse_payload
from caretree.ledger.values import (
    Actor,
    Body,
    Denial,
    Grant,
    Happening,
    Keyring,
    Opening,
    Page,
    Patient,
    Purpose,
    Reading,
    Record,
    Replaces,
    Revoke,
    Rule,
    SealedKey,
)
from caretree.model.errors import VerificationError
from caretree.model.ids import Digest, GrantId, MemberId, Origin, PeerId, RecordId, RequestId

FIRST_EPOCH = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """The peer that makes an entry, and the member it belongs to, which is the custodian."""

    origin: Origin
    peer: PeerId
    member: MemberId


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Who asked for the entry, and the id under which it takes effect at most once."""

    request_id: RequestId
    request_digest: Digest
    actor: Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRecord:
    """A record to be added."""

    record_id: RecordId
    patient: Patient
    content: bytes = field(repr=False)
    media_type: str
    document_id: bytes
    part: int
    replaces: Replaces | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGrant:
    """A grant to be given; `sealing_key` is the grantee's public one."""

    grant_id: GrantId
    patient: Patient
    grantee: MemberId
    sealing_key: bytes
    rule: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKeyring:
    """A keyring epoch to be opened, and its key in the clear."""

    keyring: Keyring
    epoch_key: EpochKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An entry as its author made it: what goes into a batch, and what it says."""

    leaf: bytes
    opening: Opening = field(repr=False)
    body: Body

    @property
    def record_id(self) -> RecordId | None:
        """The record's id, when the entry is one."""
        happening = self.body.happening
        return happening.record_id if isinstance(happening, Record) else None


def draft_entry(
    author: Author,
    request: Request,
    happening: Happening,
    random: RandomSource,
    *,
    payload: bytes | None = None,
) -> Draft:
    """The entry that says so, its leaf committing to the body under a fresh salt.

    Raises:
        MalformedError: the body would be too large.
    """
    commit = leaf_committer(origin=author.origin, author_peer=author.peer)
    salt = random.random_bytes(SALT_BYTES)
    return _draft(commit, request, happening, salt=salt, payload=payload)


class RecordDrafts:
    """Makes the records of one author: what all of them have in common is framed once."""

    __slots__ = ("_author", "_commit", "_sealer")

    def __init__(self, author: Author) -> None:
        self._author = author
        self._sealer = RecordSealer(origin=author.origin, custodian=author.member)
        self._commit = leaf_committer(origin=author.origin, author_peer=author.peer)

    def draft(
        self, request: Request, new: NewRecord, epoch_key: EpochKey, random: RandomSource
    ) -> Draft:
        """The record sealed under its own key, which the keyring's open epoch key wraps.

        Raises:
            MalformedError: the content is larger than a record's may be.
        """
        # Drawn at once: each draw is a call of the operating system.
        drawn = random.random_bytes(RECORD_SECRETS_BYTES + SALT_BYTES)
        sealed, wrapped, commitment = self._sealer.seal(
            drawn[:RECORD_SECRETS_BYTES],
            record_id=new.record_id,
            content=new.content,
            epoch_key=epoch_key.key,
            epoch_key_id=epoch_key.key_id,
        )
        record = Record(
            record_id=new.record_id,
            patient=new.patient,
            custodian=self._author.member,
            keyring_epoch=epoch_key.epoch,
            key_id=epoch_key.key_id,
            ciphertext_sha256=payload_digest(sealed),
            content_commitment=commitment,
            media_type=new.media_type,
            document_id=new.document_id,
            part=new.part,
            replaces=new.replaces,
        )
        payload = encode_payload(sealed_content=sealed, wrapped_key=wrapped)
        salt = drawn[RECORD_SECRETS_BYTES:]
        return _draft(self._commit, request, record, salt=salt, payload=payload)


def draft_record(
    author: Author, request: Request, new: NewRecord, epoch_key: EpochKey, random: RandomSource
) -> Draft:
    """One record, as `RecordDrafts` makes it."""
    return RecordDrafts(author).draft(request, new, epoch_key, random)


def new_keyring(
    author: Author,
    patient: Patient,
    *,
    previous: EpochKey | None,
    sealing_keys: Mapping[MemberId, bytes],
    custody: Custody,
) -> NewKeyring:
    """A keyring epoch after `previous` with a key drawn here; of no effect until it is an entry.

    `sealing_keys` are the public ones of the custodian and of every live grantee
    (`queries.live_grantees`), and of nobody else. Each costs about half a millisecond.

    Raises:
        MalformedError: a sealing key is none.
    """
    context = keyring_context(author.origin, author.member, patient)
    key = custody.random_bytes(KEY_BYTES)
    opened = EpochKey(
        epoch=FIRST_EPOCH if previous is None else previous.epoch + 1, key_id=key_id(key), key=key
    )
    keyring = Keyring(
        patient=patient,
        custodian=author.member,
        epoch=opened.epoch,
        key_id=opened.key_id,
        previous_key_id=None if previous is None else previous.key_id,
        previous_key=_chained(opened, previous, context, custody),
        sealed_keys=tuple(
            SealedKey(
                member=member,
                sealed=_sealed(opened, context, recipient=member, to=to, custody=custody),
            )
            for member, to in sorted(sealing_keys.items())
        ),
    )
    return NewKeyring(keyring=keyring, epoch_key=opened)


def draft_keyring(
    author: Author,
    request: Request,
    patient: Patient,
    *,
    previous: EpochKey | None,
    sealing_keys: Mapping[MemberId, bytes],
    custody: Custody,
) -> tuple[Draft, EpochKey]:
    """The entry that opens such an epoch, as of `new_keyring`, and its key."""
    new = new_keyring(
        author, patient, previous=previous, sealing_keys=sealing_keys, custody=custody
    )
    return draft_entry(author, request, new.keyring, custody), new.epoch_key


def draft_grant(
    author: Author, request: Request, new: NewGrant, epoch_key: EpochKey, custody: Custody
) -> Draft:
    """The author's records of a patient opened to a member: the open epoch's key, sealed to it.

    Raises:
        MalformedError: the grantee's sealing key is none.
    """
    context = keyring_context(author.origin, author.member, new.patient)
    sealed = _sealed(epoch_key, context, recipient=new.grantee, to=new.sealing_key, custody=custody)
    grant = Grant(
        grant_id=new.grant_id,
        patient=new.patient,
        custodian=author.member,
        grantee=new.grantee,
        keyring_epoch=epoch_key.epoch,
        key_id=epoch_key.key_id,
        sealed_key=sealed,
        rule=new.rule,
    )
    return draft_entry(author, request, grant, custody)


def draft_revoke(
    author: Author, request: Request, patient: Patient, grant_id: GrantId, random: RandomSource
) -> Draft:
    """A grant of the author's member taken back."""
    revoke = Revoke(grant_id=grant_id, patient=patient, custodian=author.member)
    return draft_entry(author, request, revoke, random)


def draft_reading(
    author: Author,
    request: Request,
    patient: Patient,
    *,
    purpose: Purpose,
    scope: Page | RecordId,
    record_ids: tuple[RecordId, ...],
    random: RandomSource,
) -> Draft:
    """A reading of exactly these records, as `queries` gave them for the scope."""
    reading = Reading(patient=patient, purpose=purpose, scope=scope, record_ids=record_ids)
    return draft_entry(author, request, reading, random)


def draft_denial(author: Author, request: Request, denial: Denial, random: RandomSource) -> Draft:
    """Readings that were refused to one actor within one minute."""
    return draft_entry(author, request, denial, random)


def open_record(
    encoded_payload: bytes, record: Record, epoch_key: EpochKey, origin: Origin
) -> bytes:
    """The content of a record. Whether the caller may have it is not asked here.

    1. The epoch key is the one that the record names.
    2. The sealed content is the one that the record names.
    3. Both open, for this record at this custodian and no other.
    4. The content is the one that the record commits to.

    Raises:
        MalformedError: the payload is none.
        VerificationError: one of the four does not hold.
    """
    payload = parse_payload(encoded_payload)
    # An epoch key is checked against its id when it is drawn or opened (`key_paths`), once.
    if epoch_key.key_id != record.key_id:
        raise OpeningError("epoch key: is not the one that the record's body names")
    if payload_digest(payload.sealed_content) != record.ciphertext_sha256:
        raise VerificationError("payload: is not the one that the record's body names")
    context = RecordContext(origin=origin, custodian=record.custodian, record_id=record.record_id)
    record_key = unwrap_record_key(
        epoch_key=epoch_key.key,
        context=context,
        wrapped=payload.wrapped_key,
        epoch_key_id=epoch_key.key_id,
    )
    content = open_content(record_key=record_key, context=context, payload=payload.sealed_content)
    commitment = Digest(record.content_commitment)
    verify_content(key=content_key(record_key), content=content, commitment=commitment)
    return content


def keyring_context(origin: Origin, custodian: MemberId, patient: Patient) -> KeyringContext:
    """Which keyring the keys of this custodian for this patient belong to."""
    return KeyringContext(origin=origin, custodian=custodian, pseudonym=patient.pseudonym)


def _draft(
    commit: LeafCommitter,
    request: Request,
    happening: Happening,
    *,
    salt: bytes,
    payload: bytes | None,
) -> Draft:
    body = Body(
        request_id=request.request_id,
        request_digest=request.request_digest,
        actor=request.actor,
        happening=happening,
    )
    encoded = encode_body(body)
    opening = Opening(salt=salt, body=encoded, payload=payload)
    return Draft(leaf=encode_entry_leaf(commit(salt, encoded)), opening=opening, body=body)


def _chained(
    opened: EpochKey, previous: EpochKey | None, context: KeyringContext, random: RandomSource
) -> bytes:
    if previous is None:
        return b""
    return chain_previous(
        new_key=opened.key,
        previous_key=previous.key,
        nonce=random.random_bytes(NONCE_BYTES),
        context=context,
    )


def _sealed(
    epoch_key: EpochKey,
    context: KeyringContext,
    *,
    recipient: MemberId,
    to: bytes,
    custody: Custody,
) -> bytes:
    info = keyring_seal_info(context, epoch_key_id=epoch_key.key_id, recipient=recipient)
    return custody.seal_to(to, info=info, secret=epoch_key.key)
