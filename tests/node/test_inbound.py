"""What other peers say: junk ends a stream and nothing more, whatever it is."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
from caretree.ledger.batches import assemble_batch
from caretree.ledger.blocks import block_ref, encode_block_ref, with_openings
from caretree.ledger.holes import is_justified
from caretree.ledger.rows import encode_outcomes
from caretree.ledger.values import Block, Opening, Outcome
from caretree.ledger.certificate import certification, sign_lines
from caretree.merkle.checkpoint import Checkpoint
from caretree.merkle.lines import format_line
from caretree.model.ids import Digest, LogIndex, PeerId, Term, TreeSize
from caretree.model.limits import CLOCK_AHEAD_MS_MAX
from caretree.node.certifier import Certifier
from caretree.node.clock import VoterClocks
from caretree.node.inbound import NOT_HELD_MAX, SIGNATURE_LINES_MAX, Inbound, InboundParts
from caretree.node.pool import HeldBatch
from caretree.node.peer_codec import encode_raft
from caretree.node.transport import LostMessageError
from caretree.proto.peer.v1 import peer_pb2
from caretree.raft.messages import Message, MessageType
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.builders import HOSPITAL, TOWN, founders
from tests.ledger.people import PATIENT
from tests.ledger.worlds import World
from tests.node.bench import Bench, FixedClock, log_to, metrics, row
from tests.node.test_applier import flipped

SENDER = founders()[HOSPITAL].peer.peer
OWN = founders()[TOWN].peer.peer
GENESIS = founders().genesis
