"""The parts of a body out of their messages, each checked, with the path to a field in its error.

Checked here is what the bytes alone tell: lengths, numbers, names, nothing twice. What depends on
the state (is that epoch open, may this role grant) is decided at apply.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NoReturn

from caretree.crypto.custody import SEALED_KEY_BYTES
from caretree.crypto.keyring import CHAINED_KEY_BYTES
from caretree.crypto.suite import DIGEST_BYTES
from caretree.ledger.values import (
    Actor,
    Attempt,
    Denial,
    Grant,
    Keyring,
    Page,
    Patient,
    Purpose,
    Reading,
    Record,
    ReplaceReason,
    Replaces,
    Revoke,
    Role,
    Rule,
    SealedKey,
)
from caretree.ledger.wire import (
    check_at_most,
    check_length,
    check_printable,
    check_range,
    check_unique,
    check_visible,
)
from caretree.model.errors import MalformedError
from caretree.model.ids import (
    Digest,
    GrantId,
    KeyId,
    MemberId,
    Pseudonym,
    RecordId,
    TimeMs,
    parse_name,
)
from caretree.model.limits import MEMBERS_MAX, PAGE_SIZE_MAX
from caretree.proto.ledger.v1 import body_pb2

ID_BYTES: Final = 16
KEY_ID_BYTES: Final = 32
PSEUDONYM_BYTES: Final = 32
COMMITMENT_BYTES: Final = 32
MEDIA_TYPE_LENGTH_MAX: Final = 128
PERSON_LENGTH_MAX: Final = 64
RULE_PRINCIPALS_MAX: Final = 32
DENIAL_ATTEMPTS_MAX: Final = 32
MINUTE_MS: Final = 60_000
U32_MAX: Final = 2**32 - 1

# Names, actors and media types that were found good, for each kind: the same few in every record.
REMEMBERED_MAX: Final = 1024

_RECORD_LENGTHS: Final = (DIGEST_BYTES, COMMITMENT_BYTES, ID_BYTES, KEY_ID_BYTES, ID_BYTES)
_ROLES: Final = {role.value: role for role in Role}
_PURPOSES: Final = {purpose.value: purpose for purpose in Purpose}
_REASONS: Final = {reason.value: reason for reason in ReplaceReason}


def parse_actor(message: body_pb2.Actor) -> Actor:
    """Who acted.

    Raises:
        MalformedError: a principal without a name, or a role that is none.
    """
    return _actor(message.principal, message.person, message.role)


@lru_cache(maxsize=REMEMBERED_MAX)  # few act, and often
def _actor(principal: str, person: str, role: int) -> Actor:
    if person:
        check_visible(person, length_max=PERSON_LENGTH_MAX, field="actor.person")
    return Actor(
        principal=parse_name(principal, field="actor.principal"),
        person=person,
        role=_role(role, field="actor.role"),
    )


def encode_patient(patient: Patient) -> body_pb2.Patient:
    """The message of a patient."""
    return body_pb2.Patient(pseudonym_epoch=patient.pseudonym_epoch, pseudonym=patient.pseudonym)


def parse_record(message: body_pb2.Record) -> Record:
    """A record that was added.

    Raises:
        MalformedError: naming the field.
    """
    record_id, key_id = message.record_id, message.key_id
    digest, commitment = message.ciphertext_sha256, message.content_commitment
    document_id = message.document_id
    lengths = (len(digest), len(commitment), len(record_id), len(key_id), len(document_id))
    # One comparison for all, because a peer parses every record of everyone; what does not fit is
    # looked for afterwards.
    if lengths != _RECORD_LENGTHS:
        _refuse_record(message)
    return Record(
        record_id=RecordId(record_id),
        patient=_patient(message.patient, path="record.patient"),
        custodian=_member(message.custodian, field="record.custodian"),
        keyring_epoch=_from_one(message.keyring_epoch, field="record.keyring_epoch"),
        key_id=KeyId(key_id),
        ciphertext_sha256=Digest(digest),
        content_commitment=commitment,
        media_type=_media_type(message.media_type),
        document_id=document_id,
        part=message.part,
        replaces=_replaces(message.replaces) if message.HasField("replaces") else None,
    )


def _refuse_record(message: body_pb2.Record) -> NoReturn:
    """Name the first field of another length than it has."""
    check_length(message.ciphertext_sha256, DIGEST_BYTES, field="record.ciphertext_sha256")
    check_length(message.content_commitment, COMMITMENT_BYTES, field="record.content_commitment")
    check_length(message.record_id, ID_BYTES, field="record.record_id")
    check_length(message.key_id, KEY_ID_BYTES, field="record.key_id")
    check_length(message.document_id, ID_BYTES, field="record.document_id")
    raise AssertionError("asked to refuse a record whose lengths fit")


@lru_cache(maxsize=REMEMBERED_MAX)
def _media_type(text: str) -> str:
    return check_printable(text, length_max=MEDIA_TYPE_LENGTH_MAX, field="record.media_type")


def parse_keyring(message: body_pb2.Keyring) -> Keyring:
    """A keyring epoch that was opened; the first has no key before it, every other another one.

    Raises:
        MalformedError: naming the field.
    """
    epoch = _from_one(message.epoch, field="keyring.epoch")
    first = epoch == 1
    check_length(
        message.previous_key_id, 0 if first else KEY_ID_BYTES, field="keyring.previous_key_id"
    )
    check_length(
        message.previous_key, 0 if first else CHAINED_KEY_BYTES, field="keyring.previous_key"
    )
    if message.key_id == message.previous_key_id:
        # Who lost a grant holds the key before; under it nothing may be written any more (INV-25).
        raise MalformedError("keyring.key_id", "expected another key than the one before")
    return Keyring(
        patient=_patient(message.patient, path="keyring.patient"),
        custodian=_member(message.custodian, field="keyring.custodian"),
        epoch=epoch,
        key_id=_key_id(message.key_id, field="keyring.key_id"),
        previous_key_id=None if first else KeyId(message.previous_key_id),
        previous_key=message.previous_key,
        sealed_keys=_sealed_keys(message.sealed_keys),
    )


def parse_grant(message: body_pb2.Grant) -> Grant:
    """A keyring that was opened to a member.

    Raises:
        MalformedError: naming the field.
    """
    return Grant(
        grant_id=_grant_id(message.grant_id, field="grant.grant_id"),
        patient=_patient(message.patient, path="grant.patient"),
        custodian=_member(message.custodian, field="grant.custodian"),
        grantee=_member(message.grantee, field="grant.grantee"),
        keyring_epoch=_from_one(message.keyring_epoch, field="grant.keyring_epoch"),
        key_id=_key_id(message.key_id, field="grant.key_id"),
        sealed_key=check_length(message.sealed_key, SEALED_KEY_BYTES, field="grant.sealed_key"),
        rule=_rule(message.rule),
    )


def parse_revoke(message: body_pb2.Revoke) -> Revoke:
    """A grant that was taken back.

    Raises:
        MalformedError: naming the field.
    """
    return Revoke(
        grant_id=_grant_id(message.grant_id, field="revoke.grant_id"),
        patient=_patient(message.patient, path="revoke.patient"),
        custodian=_member(message.custodian, field="revoke.custodian"),
    )


def parse_reading(message: body_pb2.Reading) -> Reading:
    """Records that were read; never more than the scope holds.

    Raises:
        MalformedError: naming the field.
    """
    scope = _scope(message)
    most = scope.size if isinstance(scope, Page) else 1
    check_at_most(len(message.record_ids), most, field="reading.record_ids", unit="records")
    check_unique(message.record_ids, field="reading.record_ids")
    return Reading(
        patient=_patient(message.patient, path="reading.patient"),
        purpose=_purpose(message.purpose, field="reading.purpose"),
        scope=scope,
        record_ids=tuple(
            _record_id(record_id, field="reading.record_ids") for record_id in message.record_ids
        ),
    )


def parse_denial(message: body_pb2.Denial) -> Denial:
    """Readings that were refused within one minute.

    Raises:
        MalformedError: naming the field.
    """
    if message.minute_ms % MINUTE_MS:
        raise MalformedError("denial.minute_ms", f"expected a multiple of {MINUTE_MS}")
    check_range(len(message.attempts), least=1, most=DENIAL_ATTEMPTS_MAX, field="denial.attempts")
    attempts = tuple(_attempt(attempt) for attempt in message.attempts)
    check_unique([attempt.patient for attempt in attempts], field="denial.attempts")
    return Denial(minute_ms=TimeMs(message.minute_ms), attempts=attempts, more=message.more)


def _scope(message: body_pb2.Reading) -> Page | RecordId:
    match message.WhichOneof("scope"):
        case "page":
            size = check_range(
                message.page.size, least=1, most=PAGE_SIZE_MAX, field="reading.page.size"
            )
            return Page(before=message.page.before, size=size)
        case "record_id":
            return _record_id(message.record_id, field="reading.record_id")
        case None:
            raise MalformedError("reading.scope", "expected a page or a record id")


def _attempt(message: body_pb2.Attempt) -> Attempt:
    return Attempt(
        patient=_patient(message.patient, path="denial.attempts.patient"),
        count=_from_one(message.count, field="denial.attempts.count"),
    )


def _sealed_keys(messages: Sequence[body_pb2.SealedKey]) -> tuple[SealedKey, ...]:
    check_range(len(messages), least=1, most=MEMBERS_MAX, field="keyring.sealed_keys")
    check_unique([message.member for message in messages], field="keyring.sealed_keys.member")
    return tuple(
        SealedKey(
            member=_member(message.member, field="keyring.sealed_keys.member"),
            sealed=check_length(
                message.sealed, SEALED_KEY_BYTES, field="keyring.sealed_keys.sealed"
            ),
        )
        for message in messages
    )


def _rule(message: body_pb2.Rule) -> Rule:
    """A grant's rule; one that is for nobody is well formed, and refused at apply."""
    check_unique(message.roles, field="grant.rule.roles")
    check_unique(message.principals, field="grant.rule.principals")
    check_at_most(
        len(message.principals), RULE_PRINCIPALS_MAX, field="grant.rule.principals", unit="names"
    )
    return Rule(
        roles=frozenset(_role(role, field="grant.rule.roles") for role in message.roles),
        principals=frozenset(
            parse_name(principal, field="grant.rule.principals") for principal in message.principals
        ),
        purpose=_purpose(message.purpose, field="grant.rule.purpose"),
        until_ms=TimeMs(message.until_ms),
    )


def _replaces(message: body_pb2.Replaces) -> Replaces:
    reason = _REASONS.get(message.reason)
    if reason is None:
        raise MalformedError("record.replaces.reason", "expected a known reason")
    return Replaces(
        record_id=_record_id(message.record_id, field="record.replaces.record_id"), reason=reason
    )


def _patient(message: body_pb2.Patient, *, path: str) -> Patient:
    pseudonym = message.pseudonym
    if len(pseudonym) != PSEUDONYM_BYTES:
        raise MalformedError(f"{path}.pseudonym", f"expected {PSEUDONYM_BYTES} bytes")
    if message.pseudonym_epoch == 0:
        raise MalformedError(f"{path}.pseudonym_epoch", "expected a number from 1")
    return Patient(pseudonym_epoch=message.pseudonym_epoch, pseudonym=Pseudonym(pseudonym))


def _role(number: int, *, field: str) -> Role:
    role = _ROLES.get(number)
    if role is None:
        raise MalformedError(field, "expected a known role")
    return role


def _purpose(number: int, *, field: str) -> Purpose:
    purpose = _PURPOSES.get(number)
    if purpose is None:
        raise MalformedError(field, "expected a known purpose")
    return purpose


@lru_cache(maxsize=REMEMBERED_MAX)
def _member(text: str, *, field: str) -> MemberId:
    return MemberId(parse_name(text, field=field))


def _from_one(number: int, *, field: str) -> int:
    if 1 <= number <= U32_MAX:
        return number
    return check_range(number, least=1, most=U32_MAX, field=field)


def _record_id(content: bytes, *, field: str) -> RecordId:
    return RecordId(check_length(content, ID_BYTES, field=field))


def _grant_id(content: bytes, *, field: str) -> GrantId:
    return GrantId(check_length(content, ID_BYTES, field=field))


def _key_id(content: bytes, *, field: str) -> KeyId:
    return KeyId(check_length(content, KEY_ID_BYTES, field=field))
