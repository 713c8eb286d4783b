"""Every call of the client against the real server."""

import asyncio
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import caretree.client
import pytest
from caretree.client import (
    Appended,
    CallFailedError,
    CaretreeClient,
    EntryStatus,
    NewRecord,
    Source,
)
from caretree.ledger.values import Grant, Purpose, ReplaceReason, Replaces, Revoke, Role
from caretree.model.errors import MalformedError
from caretree.model.ids import LeafIndex, RecordId, RequestId, TimeMs, TreeSize
from caretree.model.reasons import CallError, FieldViolation, Reason
from caretree.node.calls import AppendCommand, HistoryCommand

from tests.client.connecting import (
    AUDITING,
    PATIENT,
    PHYSICIAN,
    connected,
    new_record,
    settings_for,
)
from tests.ledger.builders import HOSPITAL, TOWN
from tests.rpc.serving import DOCTOR, OPERATOR, free_address, serving, trusted

pytestmark = pytest.mark.asyncio

UNTIL: TimeMs = TimeMs(2_000_000_000_000)


async def test_an_appended_record_comes_with_its_verified_receipt() -> None:
    async with connected() as (client, _):
        appended = await client.append(new_record())

    assert appended.status is EntryStatus.CERTIFIED
    assert appended.receipt is not None
    assert appended.receipt.record_id == appended.record_id
    assert appended.receipt.seal.height == appended.entry.position.height
    assert appended.receipt_file.startswith(b"c2sp.org/tlog-proof")
    assert not appended.already_added


async def test_a_record_that_is_only_committed_comes_without_a_receipt() -> None:
    async with connected() as (client, server):
        server.peer.certified = False
        appended = await client.append(new_record())

    assert appended.status is EntryStatus.COMMITTED
    assert appended.receipt is None
    assert appended.receipt_file == b""


async def test_all_that_is_said_of_a_record_reaches_the_peer() -> None:
    request_id = RequestId(b"q" * 16)
    replaces = Replaces(record_id=RecordId(b"r" * 16), reason=ReplaceReason.CORRECTED)
    source = Source(system="his", id="E-1", part=3)
    async with connected() as (client, server):
        record = dataclasses.replace(new_record(), request_id=request_id, replaces=replaces)
        await client.append(record)
        await client.append(dataclasses.replace(new_record(), source=source))
        await client.append(new_record())
        commands = [batch[0] for batch in server.peer.calls if isinstance(batch, list)]

    named, sourced, drawn = commands
    assert isinstance(named, AppendCommand)
    assert named.request_id == request_id
    assert named.replaces == replaces
    assert named.patient == PATIENT
    assert (named.actor.person, named.actor.role) == ("D-1047", Role.PHYSICIAN)
    assert sourced.request_id is None
    assert sourced.source is not None
    assert (sourced.source.system, sourced.source.id, sourced.source.part) == ("his", "E-1", 3)
    assert len(drawn.request_id) == 16


async def test_the_same_source_again_is_told_to_be_there_already() -> None:
    record = dataclasses.replace(new_record(), source=Source(system="his", id="E-1"))
    async with connected() as (client, _):
        first, again = await client.append(record), await client.append(record)

    assert again.record_id == first.record_id
    assert (first.already_added, again.already_added) == (False, True)


async def test_a_refused_record_says_which_field_and_why() -> None:
    wrong = dataclasses.replace(new_record(), media_type="")
    async with connected() as (client, _):
        with pytest.raises(CallFailedError) as caught:
            await client.append(wrong)

    assert caught.value.reason is Reason.INVALID_FIELD
    assert caught.value.code == "INVALID_ARGUMENT"
    (violation,) = caught.value.violations
    assert isinstance(violation, FieldViolation)
    assert violation.field == "records[0].media_type"


async def test_many_records_are_answered_in_order_and_one_failure_stops_no_other() -> None:
    records = [new_record(number) for number in range(20)]
    records[7] = dataclasses.replace(records[7], media_type="")
    taken: list[int] = []

    async with connected() as (client, server):
        outcomes = [outcome async for outcome in client.append_many(records)]
        added = [outcome for outcome in outcomes if isinstance(outcome, Appended)]
        for outcome in added:
            read = await client.get_record(outcome.record_id, acting=PHYSICIAN)
            taken.append(int(read.content.removeprefix(b"content ")))
        batches = server.peer.batch_sizes

    assert isinstance(outcomes[7], CallFailedError)
    assert taken == [number for number in range(20) if number != 7]
    assert len(batches) < 20


async def test_many_records_are_taken_no_faster_than_they_are_answered() -> None:
    taken: list[int] = []

    def records() -> Iterator[NewRecord]:
        for number in range(40):
            taken.append(number)
            yield new_record(number)

    ahead: list[int] = []
    async with connected() as (client, _):
        async for _outcome in client.append_many(records(), at_once=8):
            ahead.append(len(taken) - len(ahead))

    assert len(ahead) == 40
    assert max(ahead) == 8


async def test_a_history_is_read_page_by_page() -> None:
    async with connected() as (client, server):
        for number in range(5):
            await client.append(new_record(number))
        await client.append(new_record(content=b"closed to you"))
        pages = [
            page
            async for page in client.history(
                PATIENT, acting=PHYSICIAN, purpose=Purpose.PUBLIC_HEALTH, page_size=4
            )
        ]
        commands = [call for call in server.peer.calls if isinstance(call, HistoryCommand)]

    assert [len(page.records) for page in pages] == [4, 2]
    closed, newest = pages[0].records[:2]
    assert closed.closed
    assert closed.custodian == TOWN
    assert (closed.record_id, closed.content) == (None, b"")
    assert newest.content == b"content 4"
    assert {command.purpose for command in commands} == {Purpose.PUBLIC_HEALTH}


async def test_a_grant_is_given_listed_and_taken_back_with_receipts() -> None:
    async with connected() as (client, _):
        granted = await client.create_grant(
            PATIENT, HOSPITAL, roles=[Role.PHYSICIAN], until_ms=UNTIL, acting=PHYSICIAN
        )
        listed = [grant async for grant in client.list_grants(PATIENT, acting=PHYSICIAN)]
        (revoked,) = await client.revoke_grant(PATIENT, grantee=HOSPITAL, acting=PHYSICIAN)
        after = [grant async for grant in client.list_grants(PATIENT, acting=PHYSICIAN)]

    assert granted.entry.receipt is not None
    assert granted.entry.receipt.body is not None
    assert isinstance(granted.entry.receipt.body.happening, Grant)
    assert [grant.grant_id for grant in listed] == [granted.grant_id]
    assert listed[0].roles == {Role.PHYSICIAN}
    assert listed[0].until_ms == UNTIL
    assert listed[0].revoked_ms is None
    assert revoked.grant_id == granted.grant_id
    assert revoked.entry.receipt is not None
    assert revoked.entry.receipt.body is not None
    assert isinstance(revoked.entry.receipt.body.happening, Revoke)
    assert after[0].revoked_ms is not None


async def test_an_auditor_reads_the_trail_to_its_end() -> None:
    async with connected() as (client, _):
        await client.append(new_record())
        events = [event async for event in client.list_trail(acting=AUDITING, page_size=2)]

    assert [event.position.leaf_index for event in events] == [3, 2, 1, 0]
    assert events[0].grantee == HOSPITAL


async def test_a_receipt_is_fetched_by_record_request_and_leaf() -> None:
    request_id = RequestId(b"q" * 16)
    async with connected() as (client, _):
        appended = await client.append(dataclasses.replace(new_record(), request_id=request_id))
        fetched = [
            await client.receipt(record_id=appended.record_id),
            await client.receipt(request_id=request_id),
            await client.receipt(leaf_index=LeafIndex(appended.entry.position.leaf_index)),
        ]

    assert [found.file for found in fetched] == [appended.receipt_file] * 3
    assert fetched[0].receipt.record_id == appended.record_id
    assert fetched[0].age_ms == 5


async def test_checkpoints_and_proofs_are_fetched_and_verified() -> None:
    async with connected() as (client, server):
        first = await client.checkpoint()
        await client.append(new_record())
        second = await client.checkpoint()
        hashes, until = await client.consistency(first.tree_size, second.tree_size)
        size = server.peer.ledger.size

    assert second.tree_size == size == until
    assert second.root != first.root
    assert hashes == server.peer.ledger.consistency(TreeSize(2), size)
    assert second.age_ms == 7


async def test_a_status_is_read_and_leadership_moved_by_an_operator() -> None:
    async with connected(principal=OPERATOR) as (client, _):
        status = await client.status()
        leader = await client.transfer_leadership("hospital")

    assert status.member == TOWN
    assert status.raft_role == "leader"
    assert status.peers[0].display_name == "Township Health Centre"
    assert leader == f"{trusted().consortium[HOSPITAL].peer.peer:016x}"


async def test_a_person_acts_in_its_own_name() -> None:
    async with connected(principal=DOCTOR) as (client, server):
        await client.append(dataclasses.replace(new_record(), acting=None))
        ((command,),) = [call for call in server.peer.calls if isinstance(call, list)]

    assert (command.actor.principal, command.actor.person) == (DOCTOR, "")


async def test_calls_are_repeated_after_the_peers_delay_where_that_is_safe() -> None:
    busy = CallError(Reason.OVERLOADED, retry_after_ms=20)
    unknown = CallError(Reason.OUTCOME_UNKNOWN, retry_after_ms=20)
    loop = asyncio.get_running_loop()
    async with connected() as (client, server):
        server.peer.failures += [busy, CallError(Reason.NO_QUORUM, retry_after_ms=20)]
        started = loop.time()
        await client.status()
        waited = loop.time() - started
        server.peer.failures += [unknown, busy]
        granted = await client.create_grant(
            PATIENT, HOSPITAL, roles=[Role.PHYSICIAN], until_ms=UNTIL, acting=PHYSICIAN
        )
        requests = {call.request_id for call in server.peer.calls if hasattr(call, "request_id")}

    assert waited >= 0.04
    assert granted.entry.status is EntryStatus.CERTIFIED
    assert len(requests) == 1


async def test_what_would_fail_again_is_not_repeated() -> None:
    async with connected() as (client, server):
        server.peer.failures += [CallError(Reason.NO_RECORDS), CallError(Reason.INTERNAL)]
        for reason in (Reason.NO_RECORDS, Reason.INTERNAL):
            with pytest.raises(CallFailedError) as caught:
                await client.create_grant(
                    PATIENT, HOSPITAL, roles=[Role.PHYSICIAN], until_ms=UNTIL, acting=PHYSICIAN
                )
            assert caught.value.reason is reason
        assert len(server.peer.calls) == 2


async def test_a_transfer_of_leadership_is_never_repeated() -> None:
    async with connected(principal=OPERATOR) as (client, server):
        server.peer.failures += [CallError(Reason.UNFINISHED_TRANSFER, retry_after_ms=1)] * 2
        with pytest.raises(CallFailedError) as caught:
            await client.transfer_leadership()

    assert caught.value.reason is Reason.UNFINISHED_TRANSFER
    assert len(server.peer.calls) == 1


async def test_a_peer_that_cannot_be_reached_is_told_at_the_deadline() -> None:
    async with CaretreeClient.connect(settings_for(free_address())) as client:
        with pytest.raises(CallFailedError) as single:
            await client.status(deadline_s=0.5)
        with pytest.raises(CallFailedError) as streamed:
            await client.append(new_record(), deadline_s=0.5)

    for caught in (single, streamed):
        assert caught.value.reason is None
        assert caught.value.code == "UNAVAILABLE"


async def test_a_policy_that_knows_no_log_of_the_origin_is_refused() -> None:
    settings = dataclasses.replace(settings_for("localhost:1"), origin="other.example/00000000")

    with pytest.raises(MalformedError):
        async with CaretreeClient.connect(settings):
            pass


async def test_the_example_of_the_package_runs(tmp_path: Path) -> None:
    documentation = caretree.client.__doc__ or ""
    lines = documentation.splitlines()
    block = lines[lines.index("    import asyncio") : lines.index("    asyncio.run(main())") + 1]
    async with serving() as server:
        settings = settings_for(server.address, principal=DOCTOR)
        source = "\n".join(line[4:] for line in block)
        for old, new in (
            ("127.0.0.1:7443", settings.address),
            ("00c0ffee00c0ffee.town.changzhou.example", settings.server_name),
            ("changzhou.example/0123abcd", settings.origin),
        ):
            assert source.count(old) == 1
            source = source.replace(old, new)
        for name, content in (
            ("ca.pem", settings.ca_certificate),
            ("certificate.pem", settings.certificate),
            ("key.pem", settings.key),
            ("policy", settings.policy_text.encode()),
        ):
            (tmp_path / name).write_bytes(content)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", source, cwd=tmp_path, stderr=asyncio.subprocess.PIPE
        )
        _, complained = await process.communicate()

    assert (process.returncode, complained) == (0, b"")
    assert (tmp_path / "receipt").read_bytes().startswith(b"c2sp.org/tlog-proof")
