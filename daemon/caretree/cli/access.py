"""`caretree grant`, `grants`, `revoke` and `audit`: who may see what, and who did."""

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

from caretree.cli.acting import (
    ActingRole,
    ClientFile,
    PatientOption,
    Person,
    PurposeOption,
    acting_as,
    read_id,
    read_patient,
)
from caretree.cli.errors import CommandError
from caretree.cli.options import Json
from caretree.cli.output import JsonValue, Output, short_time
from caretree.cli.roles import PurposeName, RoleName, shown
from caretree.cli.session import call
from caretree.client.client import CaretreeClient
from caretree.client.values import GrantDescription, Granted, TrailEvent
from caretree.ledger.receipt_text import utc_text
from caretree.model.ids import GrantId, TimeMs
from caretree.model.limits import PAGE_SIZE_MAX

GRANT_DAYS: Final = 30
GRANT_DAYS_MAX: Final = 3650
GRANTS_LIMIT: Final = 10_000
TRAIL_LIMIT: Final = 100_000
_MS_PER_DAY: Final = 86_400_000
_PSEUDONYM_BYTES_SHOWN: Final = 4


def grant(
    *,
    to: Annotated[str, typer.Option("--to", help="The member to open the records to.")],
    patient: PatientOption,
    client: ClientFile,
    to_role: Annotated[
        list[RoleName] | None, typer.Option(help="Any person there acting in this role.")
    ] = None,
    to_principal: Annotated[list[str] | None, typer.Option(help="This principal there.")] = None,
    days: Annotated[
        int, typer.Option(min=1, max=GRANT_DAYS_MAX, help="For so many days.")
    ] = GRANT_DAYS,
    until: Annotated[
        str | None, typer.Option(help="Through this day (UTC), like 2026-12-31, instead of --days.")
    ] = None,
    purpose: PurposeOption = PurposeName.TREATMENT,
    person: Person = None,
    role: ActingRole = None,
    as_json: Json = False,
) -> None:
    """Open this member's records of a patient to another member."""
    if not to_role and not to_principal:
        raise CommandError(
            "a grant is for somebody", next_step="Give --to-role, --to-principal, or both."
        )
    named, until_ms = read_patient(patient), _until(days, until)
    given = call(
        client,
        lambda peer: peer.create_grant(
            named,
            to,
            roles=[item.role() for item in to_role or ()],
            principals=to_principal or (),
            purpose=purpose.purpose(),
            until_ms=until_ms,
            acting=acting_as(person, role),
        ),
    )
    Output(as_json=as_json).fields(
        f"Opened to {to}",
        [
            ("Grant", given.grant_id.hex()),
            ("Until", utc_text(until_ms)),
            ("Status", given.entry.status.name.lower()),
        ],
        data={**_granted_as_json(given), "grantee": to, "until_ms": until_ms},
    )


def grants(
    *,
    patient: PatientOption,
    client: ClientFile,
    person: Person = None,
    role: ActingRole = None,
    as_json: Json = False,
) -> None:
    """List the grants of a patient."""
    named = read_patient(patient)

    async def read(peer: CaretreeClient) -> list[GrantDescription]:
        found: list[GrantDescription] = []
        async for item in peer.list_grants(named, acting=acting_as(person, role)):
            found.append(item)
            if len(found) == GRANTS_LIMIT:
                break
        return found

    found = call(client, read)
    Output(as_json=as_json).table(
        f"{len(found)} grants",
        ("Grant", "From", "To", "For", "Purpose", "Given (UTC)", "Until", "Taken back"),
        [_grant_row(item) for item in found],
        data={"grants": [_grant_as_json(item) for item in found]},
    )


def revoke(
    *,
    patient: PatientOption,
    client: ClientFile,
    from_member: Annotated[
        str | None, typer.Option("--from", help="Take back all grants of this member.")
    ] = None,
    grant_id: Annotated[
        str | None, typer.Option("--grant", help="Take back the grant with this id.")
    ] = None,
    person: Person = None,
    role: ActingRole = None,
    as_json: Json = False,
) -> None:
    """Take grants of a patient back."""
    if (from_member is None) == (grant_id is None):
        raise CommandError(
            "either a grant or a member has to be named", next_step="Give --grant or --from."
        )
    named = read_patient(patient)
    one = None if grant_id is None else GrantId(read_id(grant_id, what="grant"))
    revoked = call(
        client,
        lambda peer: peer.revoke_grant(
            named, grant_id=one, grantee=from_member, acting=acting_as(person, role)
        ),
    )
    Output(as_json=as_json).table(
        f"{len(revoked)} grants taken back",
        ("Grant", "Status"),
        [(item.grant_id.hex(), item.entry.status.name.lower()) for item in revoked],
        data={"revoked": [_granted_as_json(item) for item in revoked]},
    )


def audit(
    *,
    client: ClientFile,
    patient: Annotated[
        str | None, typer.Option("--patient", help="One patient's alone; as for the others.")
    ] = None,
    person: Person = None,
    role: ActingRole = None,
    limit: Annotated[
        int, typer.Option(min=1, max=TRAIL_LIMIT, help="At most so many events.")
    ] = PAGE_SIZE_MAX,
    as_json: Json = False,
) -> None:
    """Read the trail."""
    named = None if patient is None else read_patient(patient)

    async def read(peer: CaretreeClient) -> list[TrailEvent]:
        events: list[TrailEvent] = []
        trail = peer.list_trail(
            named, acting=acting_as(person, role), page_size=min(limit, PAGE_SIZE_MAX)
        )
        async for event in trail:
            events.append(event)
            if len(events) == limit:
                break
        return events

    events = call(client, read)
    Output(as_json=as_json).table(
        f"{len(events)} events, newest first",
        ("When (UTC)", "What", "Member", "Who", "Patient", "To", "Purpose", "Count"),
        [_event_row(event) for event in events],
        data={"events": [_event_as_json(event) for event in events]},
    )


def _until(days: int, until: str | None) -> TimeMs:
    """When a grant ends: so many days from now, or with the end of a day."""
    if until is None:
        return TimeMs(time.time_ns() // 1_000_000 + days * _MS_PER_DAY)
    try:
        end = datetime.fromisoformat(until).replace(tzinfo=UTC) + timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise CommandError(
            "--until: expected a day", next_step="Write it like 2026-12-31."
        ) from error
    return TimeMs(int(end.timestamp() * 1000))


def _granted_as_json(given: Granted) -> dict[str, JsonValue]:
    return {
        "grant_id": given.grant_id.hex(),
        "status": given.entry.status.name.lower(),
        "leaf_index": given.entry.position.leaf_index,
    }


def _grant_row(item: GrantDescription) -> tuple[str, ...]:
    holders = [*map(shown, sorted(item.roles)), *sorted(item.principals)]
    return (
        item.grant_id.hex(),
        item.custodian,
        item.grantee,
        ", ".join(holders),
        shown(item.purpose),
        short_time(item.granted_ms),
        short_time(item.until_ms),
        "" if item.revoked_ms is None else short_time(item.revoked_ms),
    )


def _grant_as_json(item: GrantDescription) -> dict[str, JsonValue]:
    return {
        "grant_id": item.grant_id.hex(),
        "custodian": item.custodian,
        "grantee": item.grantee,
        "roles": [shown(role) for role in sorted(item.roles)],
        "principals": sorted(item.principals),
        "purpose": shown(item.purpose),
        "granted_ms": item.granted_ms,
        "until_ms": item.until_ms,
        "revoked_ms": item.revoked_ms,
    }


def _event_row(event: TrailEvent) -> tuple[str, ...]:
    who = event.principal if not event.person else f"{event.person} through {event.principal}"
    patients = [pseudonym[:_PSEUDONYM_BYTES_SHOWN].hex() for pseudonym in event.pseudonyms]
    return (
        short_time(event.time_ms),
        "erased" if event.erased else event.kind.name.lower(),
        event.member,
        " ".join(part for part in (shown(event.role), who) if part),
        ", ".join(patients),
        event.grantee,
        shown(event.purpose),
        str(event.count or ""),
    )


def _event_as_json(event: TrailEvent) -> dict[str, JsonValue]:
    return {
        "kind": event.kind.name.lower(),
        "time_ms": event.time_ms,
        "leaf_index": event.position.leaf_index,
        "member": event.member,
        "principal": event.principal,
        "person": event.person,
        "role": shown(event.role),
        "pseudonyms": [pseudonym.hex() for pseudonym in event.pseudonyms],
        "grantee": event.grantee,
        "grant_id": None if event.grant_id is None else event.grant_id.hex(),
        "purpose": shown(event.purpose),
        "until_ms": event.until_ms,
        "count": event.count,
        "erased": event.erased,
    }
