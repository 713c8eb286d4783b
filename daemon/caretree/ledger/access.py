"""All access rules: what each role may do, and whether a record is open to someone. Nowhere else.

Every rule is decided from arguments alone: the actor, the actor's member, rows of the history, and
block time, which stands for "now" (a grant is dead once block time reaches its `until_ms`). The
same functions answer at the door, where a reading is drafted, and at apply, where it is judged.

What a grant opens it opens to persons, not to machines: it names roles or principals of the grantee
and one purpose. Peers keep these rules; the keys know only members.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from caretree.ledger.patient_rows import GrantState, HistoryRow
from caretree.ledger.values import Actor, Purpose, Role, Rule
from caretree.model.ids import MemberId, TimeMs

APPENDING_ROLES: Final = frozenset((Role.PHYSICIAN, Role.NURSE, Role.LABORATORY, Role.REGISTRAR))
READING_ROLES: Final = frozenset((Role.PHYSICIAN, Role.NURSE, Role.LABORATORY))
GRANTING_ROLES: Final = frozenset((Role.PHYSICIAN, Role.REGISTRAR))
AUDITING_ROLES: Final = frozenset((Role.AUDITOR,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who asks to read: the actor, of which member, for what."""

    actor: Actor
    member: MemberId
    purpose: Purpose


def may_append(role: Role) -> bool:
    """Whether the role adds records for its member."""
    return role in APPENDING_ROLES


def may_open_keyring(role: Role) -> bool:
    """Whether the role opens a keyring epoch, as a first record and a first grant both ask for."""
    return role in APPENDING_ROLES or role in GRANTING_ROLES


def may_read(role: Role) -> bool:
    """Whether the role reads content at all; a registrar and an auditor never do."""
    return role in READING_ROLES


def may_grant(role: Role) -> bool:
    """Whether the role opens its member's records to another member."""
    return role in GRANTING_ROLES


def may_revoke(role: Role) -> bool:
    """Whether the role takes its member's grants back."""
    return role in GRANTING_ROLES


def may_audit(role: Role) -> bool:
    """Whether the role reads the trail."""
    return role in AUDITING_ROLES


def is_live(grant: GrantState, now_ms: TimeMs) -> bool:
    """Whether the grant was neither taken back nor has run out by this block time."""
    return grant.revoked_ms is None and grant.rule.until_ms > now_ms


def opens_to_someone(rule: Rule, now_ms: TimeMs) -> bool:
    """Whether a rule could let anybody read from this block time on."""
    return bool(rule.principals or rule.roles & READING_ROLES) and rule.until_ms > now_ms


def covers(grant: GrantState, reader: Reader, now_ms: TimeMs) -> bool:
    """Whether the grant is live and speaks of this reader, reading for this purpose."""
    rule = grant.rule
    return (
        grant.grantee == reader.member
        and rule.purpose == reader.purpose
        and (reader.actor.role in rule.roles or reader.actor.principal in rule.principals)
        and is_live(grant, now_ms)
    )


def open_custodians(
    reader: Reader, grants: Iterable[GrantState], now_ms: TimeMs
) -> frozenset[MemberId]:
    """The members whose records of a patient are open to the reader; `grants` are the patient's.

    A member's own persons read what it wrote, for any purpose. Everyone else needs a grant.
    """
    if not may_read(reader.actor.role):
        return frozenset()
    granted = (grant.custodian for grant in grants if covers(grant, reader, now_ms))
    return frozenset((reader.member, *granted))


def open_to(reader: Reader, row: HistoryRow, grants: Iterable[GrantState], now_ms: TimeMs) -> bool:
    """Whether this record is open to the reader; `grants` are the patient's."""
    return row.custodian in open_custodians(reader, grants, now_ms)


def may_list_closed(
    *, open_to_reader: frozenset[MemberId], custodians: frozenset[MemberId]
) -> bool:
    """Whether the reader is told of records that are closed to it (their custodian and time).

    That is for who treats the patient: whose own member is custodian of a record, or who holds a
    live grant from one that is. `open_to_reader` is the answer of `open_custodians`, `custodians`
    the members with records of this patient. To everyone else a patient with closed records and
    one that nobody knows are the same, and so must be the answer.
    """
    return not custodians.isdisjoint(open_to_reader)
