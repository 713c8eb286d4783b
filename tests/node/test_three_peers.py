"""Three real peers: a record goes in at one, and is certified by all."""

from pathlib import Path

import pytest
from caretree.crypto.ed25519 import verify
from caretree.ledger.certificate import certification_policy
from caretree.ledger.receipts import verify_receipt
from caretree.node.calls import AppendAnswer, EntryStatus

from tests.ledger.builders import TOWN
from tests.node.cluster import cluster, record, soon

pytestmark = pytest.mark.processes


@pytest.mark.asyncio
async def test_a_record_is_certified_and_its_receipt_verifies(tmp_path: Path) -> None:
    async with cluster(tmp_path) as seats:
        (answer,) = await seats[TOWN].peer.append([record("A1", b"a check-up")], deadline=soon())
        assert isinstance(answer, AppendAnswer)
        assert answer.entry.status is EntryStatus.CERTIFIED
        policy = certification_policy(seats[TOWN].genesis)
        verified = verify_receipt(answer.entry.receipt, policy, verify)
        assert verified.leaf_index == answer.entry.position.leaf_index
