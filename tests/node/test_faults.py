"""Faulty memory, disks and leaders: the peer they hit stops, or is not followed; the others go on."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from caretree.crypto.ed25519 import verify
from caretree.ledger.blocks import build_block, parse_block
from caretree.ledger.certificate import certification_policy, cosigner_key
from caretree.ledger.receipts import verify_receipt
from caretree.ledger.values import BlockRef, Head, HeldBlock, VoidReason
from caretree.merkle.tlog_proof import parse_tlog_proof
from caretree.model.ids import Digest, PeerId, TimeMs
from caretree.model.reasons import CallError, Reason
from caretree.node.applier import BlockChangedError, TreeChangedError
from caretree.node.calls import AppendAnswer, EntryStatus
from caretree.node.certifier import DivergenceError
from caretree.proto.peer.v1 import peer_pb2
from caretree.storage.errors import StorageError
from caretree.storage.ports import Batch

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.node.asking import add, append, contents, history, refused
from tests.node.cluster import (
    Seat,
    Seats,
    cluster,
    leader_of,
    level,
    others,
    record,
    soon,
    until,
)
from tests.node.test_applier import flipped, with_flipped_leaf

pytestmark = [pytest.mark.processes, pytest.mark.asyncio]


async def follower_of(seats: Seats) -> Seat:
    """A seat that does not lead."""
    return others(seats, await leader_of(seats))[0]


def cosigners(seats: Seats, receipt: bytes) -> set[str]:
    """The members whose co-signatures the receipt carries."""
    genesis = seats[TOWN].genesis
    verify_receipt(receipt, certification_policy(genesis), verify)
    note = parse_tlog_proof(receipt).note
    names = {cosigner_key(genesis.origin, peer).name: peer.member for peer in genesis.signers}
    return {str(names[line.name]) for line in note.lines if line.name in names}
