"""The verifying client library (asyncio): what a health centre's own system is built on.

    import asyncio
    from pathlib import Path

    from caretree.client import CaretreeClient, ClientSettings, NewRecord
    from caretree.crypto.pseudonym import PatientIdentifier


    async def main() -> None:
        settings = ClientSettings(
            address="127.0.0.1:7443",
            server_name="00c0ffee00c0ffee.town.changzhou.example",
            ca_certificate=Path("ca.pem").read_bytes(),
            certificate=Path("certificate.pem").read_bytes(),
            key=Path("key.pem").read_bytes(),
            policy_text=Path("policy").read_text(),
            origin="changzhou.example/0123abcd",
        )
        async with CaretreeClient.connect(settings) as client:
            patient = PatientIdentifier(system="urn:example:card", value="C-1")
            record = NewRecord(patient=patient, content=b"...", media_type="text/plain")
            appended = await client.append(record)
            Path("receipt").write_bytes(appended.receipt_file)


    asyncio.run(main())

Every receipt is verified before it is handed out, and every checkpoint must extend the ones before.
Appends that are made at the same time share one stream. May import proto.api and the pure rooms,
not node. Start reading at `client`; `coalescer` is the stream, `trust` what is verified, `retry`
and `channel` when a call is repeated.
"""

from caretree.client.client import CaretreeClient
from caretree.client.errors import (
    AnswerError,
    CallFailedError,
    InconsistentLogError,
    ReceiptError,
)
from caretree.client.settings import ClientSettings
from caretree.client.values import (
    ActingPerson,
    Appended,
    Entry,
    EntryStatus,
    FetchedCheckpoint,
    FetchedReceipt,
    GrantDescription,
    Granted,
    HistoryPage,
    HistoryRecord,
    NewRecord,
    PeerState,
    Source,
    Status,
    TrailEvent,
)

__all__ = [
    "ActingPerson",
    "AnswerError",
    "Appended",
    "CallFailedError",
    "CaretreeClient",
    "ClientSettings",
    "Entry",
    "EntryStatus",
    "FetchedCheckpoint",
    "FetchedReceipt",
    "GrantDescription",
    "Granted",
    "HistoryPage",
    "HistoryRecord",
    "InconsistentLogError",
    "NewRecord",
    "PeerState",
    "ReceiptError",
    "Source",
    "Status",
    "TrailEvent",
]
