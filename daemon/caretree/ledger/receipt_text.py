"""A verified receipt in a person's words, line by line, each with its label.

No line names a patient: a receipt is shown to whoever asks whether it holds.
"""

from typing import Final, assert_never

from caretree.ledger.receipts import Cosigner, VerifiedReceipt
from caretree.ledger.values import Actor, EntryKind, Grant, Keyring, Reading, Role
from caretree.model.ids import Origin, TimeMs, show_peer_id

_ROLE_NAMES: Final = {
    Role.PHYSICIAN: "physician",
    Role.NURSE: "nurse",
    Role.LABORATORY: "laboratory",
    Role.REGISTRAR: "registrar",
    Role.AUDITOR: "auditor",
}
_DAY_MS: Final = 86_400_000
_ERA_DAYS: Final = 146_097  # 400 years


def describe(verified: VerifiedReceipt) -> list[tuple[str, str]]:
    """Labels and texts, in the order in which a person asks."""
    block, leaf, size = verified.seal.height, verified.leaf_index, verified.tree_size
    return [
        ("Consortium", verified.origin),
        ("What happened", _what(verified.kind)),
        *_details(verified),
        ("When", f"{utc_text(verified.seal.time_ms)}, the time of block {block}"),
        ("Where", f"block {block}, leaf {leaf} of the history, a tree of {size} leaves"),
        ("Tree root", verified.root.hex()),
        *(_cosigner_line(cosigner, verified.origin) for cosigner in verified.cosigners),
    ]


def utc_text(time_ms: TimeMs) -> str:
    """POSIX milliseconds as a date and time of UTC, by the rules of the Gregorian calendar."""
    days, rest_ms = divmod(time_ms, _DAY_MS)
    year, month, day = _civil(days)
    minutes, milliseconds = divmod(rest_ms, 60_000)
    hour, minute = divmod(minutes, 60)
    second, fraction = divmod(milliseconds, 1000)
    return f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{fraction:03} UTC"


def _what(kind: EntryKind | None) -> str:  # noqa: PLR0911 (a table, checked to be whole)
    match kind:
        case None:
            return "an entry took effect; what it said was erased"
        case EntryKind.GENESIS:
            return "the consortium was founded"
        case EntryKind.RECORD:
            return "a record was added"
        case EntryKind.KEYRING:
            return "a custodian opened a new keyring epoch"
        case EntryKind.GRANT:
            return "a custodian opened a history to a member"
        case EntryKind.REVOKE:
            return "a custodian took a grant back"
        case EntryKind.READING:
            return "records were read"
        case EntryKind.DENIAL:
            return "readings were refused"
        case _:
            assert_never(kind)


def _details(verified: VerifiedReceipt) -> list[tuple[str, str]]:
    """What the body says beyond its kind."""
    if verified.genesis is not None:
        members = ", ".join(member.member for member in verified.genesis.members)
        return [("Members", members), ("Genesis hash", verified.genesis.hash.hex())]
    if verified.body is None:
        return []
    lines = [("Who acted", _actor(verified.body.actor))]
    if verified.author is not None:
        lines.append(("Written by peer", show_peer_id(verified.author)))
    record = verified.record
    if record is not None:
        lines += [
            ("Custodian", record.custodian),
            ("Record", record.record_id.hex()),
            ("Content type", record.media_type),
        ]
    match verified.body.happening:
        case Keyring(custodian=custodian):
            lines.append(("Custodian", custodian))
        case Grant(custodian=custodian, grantee=grantee, rule=rule):
            lines += [("Custodian", custodian), ("Opened to", grantee)]
            lines.append(("Until", utc_text(rule.until_ms)))
        case Reading(record_ids=record_ids):
            lines.append(("Records read", str(len(record_ids))))
        case _:
            pass
    return lines


def _actor(actor: Actor) -> str:
    role = _ROLE_NAMES[actor.role]
    if not actor.person:
        return f"{role} {actor.principal}"
    return f"{role} {actor.person}, through {actor.principal}"


def _cosigner_line(cosigner: Cosigner, origin: Origin) -> tuple[str, str]:
    """Whose signature stands under it: member and peer, where the name is made as ours are."""
    signed = utc_text(TimeMs(cosigner.time_s * 1000))
    name = cosigner.name.removeprefix(f"{origin}/")
    return "Signed by", f"{name} on {signed}"


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month and day of a number of days since 1970-01-01.

    The calendar repeats every 400 years, so the walk over years is never longer than that.
    """
    eras, left = divmod(days, _ERA_DAYS)
    year = 1970 + 400 * eras
    while left >= _year_days(year):
        left -= _year_days(year)
        year += 1
    month = 1
    for length in _month_lengths(year):
        if left < length:
            break
        left -= length
        month += 1
    return year, month, left + 1


def _year_days(year: int) -> int:
    return 366 if _is_leap(year) else 365


def _month_lengths(year: int) -> tuple[int, ...]:
    return (31, 29 if _is_leap(year) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
