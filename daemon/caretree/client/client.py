"""The client: one connection to the own member's peer, which takes its word for nothing provable."""

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Final

import grpc
from typing_extensions import Self

from caretree.client.channel import call, deadline_after, open_channel, remaining_s, repeated
from caretree.client.coalescer import STREAM_S_MAX, Coalescer, Stream
from caretree.client.errors import AnswerError, CallFailedError, ReceiptError, failed_call
from caretree.client.messages import (
    append_message,
    patient_message,
    person_message,
    purpose_message,
    read_event,
    read_grant,
    read_id,
    read_peer_status,
    read_position,
    read_record,
    role_message,
)
from caretree.client.receipts import (
    check_asked_for,
    check_grant,
    check_record,
    verified_entry,
    verified_receipt,
)
from caretree.client.settings import ClientSettings
from caretree.client.trust import Trust
from caretree.client.values import (
    ActingPerson,
    Appended,
    FetchedCheckpoint,
    FetchedReceipt,
    GrantDescription,
    Granted,
    HistoryPage,
    HistoryRecord,
    NewRecord,
    Status,
    TrailEvent,
)
from caretree.crypto.pseudonym import PatientIdentifier
