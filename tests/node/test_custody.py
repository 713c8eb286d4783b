"""Rules can be patched out of a peer; what its member holds no key to stays closed all the same."""

import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
from caretree.crypto.aead import OpeningError
from caretree.ledger import access, queries
from caretree.ledger.access import Reader
from caretree.ledger.authoring import keyring_context
from caretree.ledger.key_paths import key_path, open_key_path
from caretree.ledger.patient_rows import GrantState
from caretree.model.ids import MemberId, TimeMs
from caretree.model.reasons import CallError
from caretree.node.certifier import DivergenceError

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.node.asking import add, contents, grant, history, patient_at, read
from tests.node.cluster import MEMBERS, Seat, cluster, level

pytestmark = [pytest.mark.processes, pytest.mark.asyncio]


async def test_with_the_rules_out_everywhere_the_ungranted_member_holds_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cluster(tmp_path) as seats:
        town, office = seats[TOWN], seats[OFFICE]
        added = await add(town, "K1", b"not for the office")
        await grant(town, "K1", HOSPITAL)
        await level(seats.values())
        monkeypatch.setattr(queries, "open_custodians", lambda *_: frozenset(MEMBERS))

        with pytest.raises(OpeningError, match="none was sealed to this member"):
            await history(office, "K1")
        with pytest.raises(OpeningError, match="none was sealed to this member"):
            await read(office, added.record_id)

        # The same rules give the granted member its keys, so it is the keys that are missing.
        assert contents(await history(seats[HOSPITAL], "K1")) == [b"not for the office"]
        assert_opens_with_nothing_it_has(office)


def assert_opens_with_nothing_it_has(office: Seat) -> None:
    """Every key sealed to anyone, tried with the office's own sealing key."""
    desk, whose = office.parts.desk, patient_at(office, "K1")
    context = keyring_context(desk.author.origin, TOWN, whose)
    assert key_path(desk.reads, context, whose, member=OFFICE, epoch=1) is None
    for member in (TOWN, HOSPITAL):
        path = key_path(desk.reads, context, whose, member=member, epoch=1)
        assert path is not None
        with pytest.raises(OpeningError):
            open_key_path(path, context, custody=desk.custody, sealing_key=office.founder.sealing)


async def test_a_peer_alone_without_rules_reads_nothing_and_is_stopped_by_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cluster(tmp_path) as seats:
        town, office = seats[TOWN], seats[OFFICE]
        await add(town, "K2", b"not for the office")
        await level(seats.values())
        patch_rules_out_at(office, monkeypatch)

        with pytest.raises((OpeningError, CallError)):
            await history(office, "K2", seconds=1)

        # It took a reading for valid that the others refused: its tree is another one now.
        assert isinstance(await office.ended(), DivergenceError)
        await add(town, "K2", b"the others go on")
        assert contents(await history(town, "K2")) == [b"the others go on", b"not for the office"]


def patch_rules_out_at(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is open to the seat's member, at its own peer: where it drafts and where it applies."""
    here = threading.local()
    apply = seat.parts.applier.apply
    main = threading.current_thread()

    def apply_here(*arguments: object) -> object:
        here.patched = True
        return apply(*arguments)  # type: ignore[arg-type]

    def open_custodians(
        reader: Reader, grants: Iterable[GrantState], now_ms: TimeMs
    ) -> frozenset[MemberId]:
        own = threading.current_thread() is main or getattr(here, "patched", False)
        if own and reader.member == seat.founder.member:
            return frozenset(MEMBERS)
        return access.open_custodians(reader, grants, now_ms)

    monkeypatch.setattr(seat.parts.applier, "apply", apply_here)
    monkeypatch.setattr(queries, "open_custodians", open_custodians)
