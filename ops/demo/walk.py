"""The referral walk, step by step, on three real peers."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from caretree.client.values import HistoryRecord
from caretree.intake.files import FileOutcome
from caretree.ledger.values import EntryKind

from ops.demo.acknowledged import Account, Acknowledgements, Fetching, Found, settle
from ops.demo.bundles import Survey, survey, write_residents
from ops.demo.commands import run_caretree
from ops.demo.consortium import HOSPITAL, OFFICE, TOWN, Founded, found_consortium
from ops.demo.daemons import Daemon
from ops.demo.display import Display
from ops.demo.errors import WalkFailedError
from ops.demo.referral import (
    CONSULTATION,
    GRANT_DAYS,
    HISTORY_COLUMNS,
    Screened,
    add_consultation,
    history_rows,
    open_to_hospital,
    read_history,
    screen_all,
    try_to_read,
    whom_to_refer,
)
from ops.demo.running import (
    MEMBER_COLUMNS,
    TOWN_PHYSICIAN,
    Callers,
    connected,
    lead_from,
    leader_of,
    member_rows,
    until_ready,
    watched,
)
from ops.demo.screening import RULE_TEXT
from ops.demo.taking_in import Blow, Imported, TakingIn, thirds
from ops.demo.trail import (
    TRAIL_COLUMNS,
    counted,
    seconds_to_next_minute,
    totals,
    trail_of,
    trail_rows,
)

# How long a killed daemon stays down.
DOWN_S: Final = 1.0
_ROWS_SHOWN_MAX: Final = 12
_FAULTS_SHOWN_MAX: Final = 5


@dataclass(slots=True, kw_only=True)
class Walk:
    """A walk in a folder of its own; its daemons run on until their owner stops them."""

    folder: Path
    data: Path | None  # a folder of bundles instead of invented residents
    resident_count: int
    display: Display
    daemons: dict[str, Daemon] = field(default_factory=dict)
    acknowledgements: Acknowledgements = field(default_factory=Acknowledgements)

    async def take(self) -> tuple[Founded, Account]:
        """The consortium, and the account of what it acknowledged, after the whole walk.

        Raises:
            WalkFailedError, CaretreeError: the walk ended before its time.
        """
        taken = await self._survey()
        founded = await self._found(taken)
        self.daemons.update({member: Daemon(centre) for member, centre in founded.centres.items()})
        self.display.step("Three daemons under mutual TLS, each with its own data directory")
        for daemon in self.daemons.values():
            daemon.start()
        async with watched(self.daemons), connected(founded) as callers:
            await self._gather(founded, callers)
            await self._take_in(callers, taken)
            chosen = await self._screen(taken)
            await self._refer(callers, chosen)
            await self._prove(founded, callers, chosen[0])
            account = await self._ask_again(callers)
            await self._trail(callers, chosen[0])
        return founded, account

    async def _survey(self) -> Survey:
        if self.data is None:
            self.display.step(f"Check-ups of {self.resident_count} invented residents")
            folder = self.folder / "bundles"
            await asyncio.to_thread(write_residents, folder, count=self.resident_count)
        else:
            self.display.step(f"FHIR R4 bundles in {self.data}")
            folder = self.data
        taken = await asyncio.to_thread(survey, folder)
        self.display.say(f"{len(taken.files)} bundles, {taken.record_count} records in them")
        self._show_outcomes(taken.outcomes)
        return taken

    async def _found(self, taken: Survey) -> Founded:
        self.display.step("A consortium of three is founded")
        begun = time.monotonic()
        founded = await found_consortium(self.folder, identifier_systems=taken.identifier_systems)
        self.display.say(f"origin   {founded.origin}")
        self.display.say(f"genesis  {founded.genesis_hash}, signed by all three")
        self.display.say(f"patients are known by {', '.join(taken.identifier_systems)}")
        self.display.say(
            "each made its own keys, certificate authority, certificates and configuration"
            f" ({time.monotonic() - begun:.0f} s)",
            style="dim",
        )
        return founded

    async def _gather(self, founded: Founded, callers: Callers) -> None:
        statuses = await until_ready(callers)
        elected = leader_of(statuses)
        self.display.say(f"they elected the peer of {elected.member}")
        if elected.member != HOSPITAL:
            statuses = await lead_from(callers, HOSPITAL)
            self.display.say(f"leadership was moved to {HOSPITAL}, where it will be missed")
        self.display.table(MEMBER_COLUMNS, member_rows(founded, statuses, self.daemons))

    async def _take_in(self, callers: Callers, taken: Survey) -> None:
        self.display.step(f"The {TOWN} centre takes its check-ups in")
        first, second = thirds(taken.record_count)
        restarts: list[asyncio.Task[None]] = []
        with self.display.progress("acknowledged", taken.record_count) as on_acknowledged:
            imported = await TakingIn(
                callers.record_system,
                self.acknowledgements,
                acting=TOWN_PHYSICIAN,
                blows=[
                    Blow(at=first, strike=partial(self._kill, HOSPITAL, first, restarts)),
                    Blow(at=second, strike=partial(self._kill, TOWN, second, restarts)),
                ],
                on_acknowledged=on_acknowledged,
            ).run(taken)
            await asyncio.gather(*restarts)
        self._show_imported(imported, first=first, second=second)
        statuses = await until_ready(callers)
        self.display.say(f"all three are back and agree; {leader_of(statuses).member} leads")

    def _kill(self, member: str, count: int, restarts: "list[asyncio.Task[None]]") -> None:
        """Kill a daemon now, and have it started again a little later."""
        daemon = self.daemons[member]
        pid = daemon.pid
        daemon.kill()
        what = "the leader" if member == HOSPITAL else "the importing centre's own peer"
        self.display.alarm(f"at {count} acknowledgements SIGKILL to {what}, {member} ({pid})")

        async def start_again() -> None:
            await asyncio.sleep(DOWN_S)
            daemon.start()
            self.display.say(f"{member} was started again after {DOWN_S:.0f} s ({daemon.pid})")

        restarts.append(asyncio.create_task(start_again()))

    def _show_imported(self, imported: Imported, *, first: int, second: int) -> None:
        waits = (
            imported.longest_wait(after=first, until=second),
            imported.longest_wait(after=second, until=imported.acknowledged),
        )
        undisturbed = max(imported.seconds - sum(waits), 0.001)
        self.display.say(
            f"{imported.acknowledged} records acknowledged in {imported.seconds:.1f} s,"
            f" {imported.acknowledged / undisturbed:.0f}/s while the peers were up",
            style="green",
        )
        self.display.say(
            f"longest wait after each kill: {waits[0]:.1f} s and {waits[1]:.1f} s;"
            f" {imported.already_added} records were sent again and found to be there already"
        )
        for refusal in imported.refused[:_FAULTS_SHOWN_MAX]:
            self.display.alarm(f"a record was refused: {refusal}")

    async def _screen(self, taken: Survey) -> list[Screened]:
        self.display.step(f"The {TOWN} centre screens its residents")
        self.display.say(RULE_TEXT, style="dim")
        screened = await asyncio.to_thread(screen_all, taken)
        chosen = whom_to_refer(screened)
        if chosen[0].screening.at_risk:
            self.display.say(f"{len(chosen)} of {len(screened)} are at risk", style="green")
        else:
            self.display.say("nobody is, by this rule; the walk goes on with who comes closest")
        first = chosen[0].screening
        signs = ", ".join(first.signs) or "no sign"
        self.display.say(f"whom we follow is {first.age} years old and shows: {signs}")
        return chosen

    async def _refer(self, callers: Callers, chosen: list[Screened]) -> None:
        patient = chosen[0].patient
        self.display.step("The history is opened to the hospital, and read there at once")
        refusal = await try_to_read(callers.hospital_doctor, patient)
        self.display.say("before, the hospital's doctor asks and gets:")
        self.display.alarm(refusal)
        await open_to_hospital(callers.town_doctor, [item.patient for item in chosen])
        self.display.say(
            f"the centre's doctor opens {counted(len(chosen), 'history', 'histories')} to the"
            f" hospital's physicians, for treatment, {GRANT_DAYS} days"
        )
        begun = time.monotonic()
        records = await read_history(callers.hospital_doctor, patient)
        took_ms = (time.monotonic() - begun) * 1000
        self.display.say(f"after, the doctor gets {len(records)} records in {took_ms:.0f} ms:")
        self._show_history(records)
        added = await add_consultation(callers.hospital_doctor, patient)
        self.acknowledgements.note(
            added.record_id, member=HOSPITAL, patient=patient, content=CONSULTATION.encode()
        )
        seen = await read_history(callers.town_doctor, patient)
        if not any(record.closed for record in seen):
            raise WalkFailedError(f"{TOWN} can read what {HOSPITAL} has opened to nobody")
        self.display.say(
            "the hospital adds a note of its own; until it opens that, the centre's doctor sees:"
        )
        self._show_history(seen)

    async def _prove(self, founded: Founded, callers: Callers, chosen: Screened) -> None:
        self.display.step("One record's receipt, verified offline by the office's policy")
        ids = self.acknowledgements.of(TOWN)[chosen.patient]
        fetched = await callers.record_system.receipt(record_id=min(ids))
        file = founded.folder / "record.receipt"
        file.write_bytes(fetched.file)
        policy = founded.centres[OFFICE].policy.relative_to(founded.folder)
        ran = await run_caretree("verify", file.name, "--policy", policy, folder=founded.folder)
        self.display.command(ran.command, ran.stdout + ran.stderr)
        if ran.status != 0:
            raise WalkFailedError(f"`{ran.command}` ended with status {ran.status}")

    async def _ask_again(self, callers: Callers) -> Account:
        self.display.step("Every record that was acknowledged is asked for again")
        found, total = Found(), len(self.acknowledgements.records)
        askers = {
            TOWN: (callers.record_system, TOWN_PHYSICIAN),
            HOSPITAL: (callers.hospital_doctor, None),
        }
        with self.display.progress("fetched, receipts verified", total) as on_record:
            for member, (client, acting) in askers.items():
                fetching = Fetching(client, self.acknowledgements, found, acting=acting)
                await fetching.fetch(self.acknowledgements.of(member), on_record)
        account = settle(self.acknowledgements.records, found)
        self.display.say(
            f"acknowledged {account.acknowledged}, fetched and their receipts verified"
            f" {account.fetched_and_verified}",
            style="bold green" if account.holds else "bold red",
        )
        for fault in found.faults[:_FAULTS_SHOWN_MAX]:
            self.display.alarm(fault)
        return account

    async def _trail(self, callers: Callers, chosen: Screened) -> None:
        self.display.step("What the supervising office sees of this patient")

        def say_why() -> None:
            wait_s = seconds_to_next_minute()
            self.display.say(f"refusals are summed by the minute; this one ends in {wait_s} s")

        events = await trail_of(callers.auditor, chosen.patient, on_wait=say_why)
        self.display.table(TRAIL_COLUMNS, trail_rows(events))
        counts = await totals(callers.auditor)
        self.display.say(
            f"and of all patients: {counted(counts[EntryKind.GRANT], 'grant')},"
            f" {counted(counts[EntryKind.READING], 'reading')},"
            f" {counted(counts[EntryKind.DENIAL], 'refusal')}"
        )

    def _show_history(self, records: Sequence[HistoryRecord]) -> None:
        rows = history_rows(records, shown_max=_ROWS_SHOWN_MAX)
        self.display.table(HISTORY_COLUMNS, rows)

    def _show_outcomes(self, outcomes: Sequence[FileOutcome]) -> None:
        for outcome in outcomes[:_ROWS_SHOWN_MAX]:
            self.display.say(f"{outcome.status.value} {outcome.name}: {outcome.reason}")
        if len(outcomes) > _ROWS_SHOWN_MAX:
            self.display.say(f"and {len(outcomes) - _ROWS_SHOWN_MAX} files more")
