"""The life of a consortium whose every secret is a canary, and all that it left behind.

Three daemons run as they do anywhere. Records go in, are opened, read, refused and closed again.
Then one daemon is killed, the others are stopped, and what can be seen from outside is gathered.
"""

import asyncio
import re
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final

from caretree.cli.session import read_settings
from caretree.client import CallFailedError, CaretreeClient
from caretree.client.channel import open_channel
from caretree.crypto.resident_number import RESIDENT_NUMBER_SYSTEM
from caretree.ledger.values import Role
from caretree.model.ids import TimeMs

from ops.demo.consortium import (
    HOSPITAL,
    HOSPITAL_DOCTOR,
    OPERATOR,
    RECORD_SYSTEM,
    TOWN,
    Founded,
    found_consortium,
)
from ops.demo.daemons import Daemon, stop_all
from tests.node.canaries import Canary, joined_log
from tests.node.canary_facts import (
    ACTING,
    CARD,
    CARD_SYSTEM,
    ENGLISH,
    NUMBER,
    TOLD,
    contents,
    member_keys,
    open_store,
    pseudonyms,
    record,
    record_keys,
)
from tests.node.wrong_calls import (
    CALL_S,
    UNTIL_MS,
    refused,
    wrong_appends,
    wrong_grants,
    wrong_orders,
    wrong_readings,
)

UP_S_MAX: Final = 30.0
_MORE_CONFIG: Final = """
[api]
reflection = true

[http]
tiles = true

[log]
level = "debug"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What the consortium left behind; `canaries` are all that must not be in any of it."""

    founded: Founded
    canaries: tuple[Canary, ...] = field(repr=False)
    read: frozenset[bytes]  # what the hospital's doctor got
    refusals: Mapping[str, bytes] = field(repr=False)  # by the call, what it was answered
    metrics: Mapping[str, bytes] = field(repr=False)
    pages: Mapping[str, bytes] = field(repr=False)  # by the path asked for


async def walk(folder: Path) -> Left:
    """Found the consortium in `folder`, and live the life."""
    systems = (RESIDENT_NUMBER_SYSTEM, CARD_SYSTEM)
    founded = await found_consortium(folder, identifier_systems=systems)
    for centre in founded.centres.values():
        with centre.config.open("a", encoding="utf-8") as config:
            config.write(_MORE_CONFIG)
    daemons = {member: Daemon(centre) for member, centre in founded.centres.items()}
    for daemon in daemons.values():
        daemon.start()
    try:
        async with _client(founded, TOWN, RECORD_SYSTEM) as town:
            await _until_led(town)
            read = await _referral(founded, town)
            refusals = await _refusals(founded)
            refusals["append, streamed: a used request id"] = await _refused_by_client(town)
        metrics, pages = await asyncio.to_thread(_fetched, founded)
        daemons[HOSPITAL].kill()
    finally:
        faults = stop_all(list(daemons.values()))
    assert faults == []
    return Left(
        founded=founded,
        canaries=_canaries(founded),
        read=read,
        refusals=refusals,
        metrics=metrics,
        pages=pages,
    )


def files_left(founded: Founded) -> dict[str, bytes]:
    """Every file of every member, by its path; LevelDB's logs once more with fragments joined."""
    found: dict[str, bytes] = {}
    for path in founded.folder.rglob("*"):
        if path.is_file():
            name = path.relative_to(founded.folder).as_posix()
            found[name] = path.read_bytes()
            if re.fullmatch(r"\d+\.log", path.name):
                found[f"{name}, joined"] = joined_log(found[name])
    return found


def rows_left(founded: Founded, *, compact: bool) -> dict[str, bytes]:
    """Every row of every database as LevelDB keeps it, by member."""
    found: dict[str, bytes] = {}
    for centre in founded.centres.values():
        with closing(open_store(centre.folder)) as store:
            if compact:
                store._source.compact_range()
            rows = store._source.iterator()
            found[centre.member] = b"\n".join(key + value for key, value in rows)
    return found


@asynccontextmanager
async def _client(founded: Founded, member: str, principal: str) -> AsyncIterator[CaretreeClient]:
    settings = read_settings(founded.centres[member].client_file(principal))
    async with CaretreeClient.connect(settings) as client:
        yield client


async def _until_led(client: CaretreeClient) -> None:
    async with asyncio.timeout(UP_S_MAX):
        while True:
            try:
                if (await client.status(deadline_s=1)).leader:
                    return
            except CallFailedError:
                pass  # it does not listen yet
            await asyncio.sleep(0.05)


async def _referral(founded: Founded, town: CaretreeClient) -> frozenset[bytes]:
    """Records, grants, readings, revocations, and records under the next keyring epochs."""
    for number, content in enumerate(contents()):
        await town.append(record(number, content))
    read: set[bytes] = set()
    for number in range(2):
        patient = record(number, b"").patient
        until_ms = TimeMs(UNTIL_MS)
        await town.create_grant(
            patient, HOSPITAL, roles={Role.PHYSICIAN}, until_ms=until_ms, acting=ACTING
        )
        async with _client(founded, HOSPITAL, HOSPITAL_DOCTOR) as hospital:
            async for page in hospital.history(patient):
                read.update(each.content for each in page.records)
        await town.revoke_grant(patient, grantee=HOSPITAL, acting=ACTING)
    for number in range(100, 104):
        await town.append(record(number, ENGLISH.encode()))
    return frozenset(read)


async def _refusals(founded: Founded) -> dict[str, bytes]:
    """What each wrong call was answered, in all its words."""
    found: dict[str, bytes] = {}
    for member, principal, calls in (
        (TOWN, RECORD_SYSTEM, wrong_appends),
        (TOWN, RECORD_SYSTEM, wrong_grants),
        (HOSPITAL, HOSPITAL_DOCTOR, wrong_readings),
        (TOWN, OPERATOR, wrong_orders),
    ):
        settings = read_settings(founded.centres[member].client_file(principal))
        async with open_channel(settings) as channel:
            for name, call in calls(channel):
                found[name] = await refused(call)
    return found


async def _refused_by_client(town: CaretreeClient) -> bytes:
    try:
        await town.append(record(0, b"another content"))
    except CallFailedError as error:
        return repr((error, error.message, error.reason, error.violations)).encode()
    raise AssertionError("expected a refusal")


def _fetched(founded: Founded) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """What the HTTP ports show, and what they answer to paths that hold a secret."""
    metrics, pages = {}, {}
    for centre in founded.centres.values():
        base = f"http://{centre.http_address}"
        metrics[centre.member] = _get(f"{base}/metrics")
        for path in ("health/ready", f"tile/{CARD}", f"checkpoint?patient={NUMBER}", CARD):
            pages[f"{centre.member}: {path}"] = _get(f"{base}/{path}")
    return metrics, pages


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=CALL_S) as response:
            body: bytes = response.read()
            return body + str(response.headers).encode()
    except urllib.error.HTTPError as error:
        with error:
            return error.read() + str(error.headers).encode()


def _canaries(founded: Founded) -> tuple[Canary, ...]:
    folders = [centre.folder for centre in founded.centres.values()]
    town = founded.centres[TOWN].folder
    keys = chain.from_iterable(member_keys(folder) for folder in folders)
    return (*TOLD, *keys, *record_keys(town), *pseudonyms(town))
