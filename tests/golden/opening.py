"""A kept data directory opened by today's code, and what is read out of it.

expected.json was written by the release that made the directory, and is what today's code must
read there. The directory is opened as a daemon opens it, up to the point where it would listen.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from caretree.cli.home import peer_keys_of, read_hash
from caretree.config.values import Timing, TlsFiles
from caretree.crypto.custody import SystemCustody
from caretree.crypto.keystore import Keystore, decode_keystore
from caretree.crypto.locked import RawKey
from caretree.crypto.pseudonym import PatientIdentifier, normalise_identifier
from caretree.ledger.access import Reader
from caretree.ledger.authoring import open_record
from caretree.ledger.bodies import parse_body
from caretree.ledger.ceremony import check_founded
from caretree.ledger.genesis import Genesis
from caretree.ledger.queries import history_page
from caretree.ledger.rows import decode_record_place
from caretree.ledger.values import FIRST_PAGE_BEFORE, Actor, Page, Purpose, Record, Role
from caretree.merkle.checkpoint import parse_checkpoint
from caretree.merkle.note import parse_note
from caretree.model.ids import MemberId, RecordId
from caretree.node.assembly import PeerParts, PeerSettings
from caretree.node.calls import TrailEvent
from caretree.node.clock import SystemClock
from caretree.node.deny_list import DenyList
from caretree.node.disk import Disk
from caretree.node.peer import Peer
from caretree.storage.directory import DataDirectory
from caretree.storage.keys import Table
from caretree.storage.leveldb import LevelDbStore
from caretree.storage.row_cipher import RowCipher
from caretree.storage.watermark import WatermarkFile
from caretree.telemetry.health import Health
from caretree.telemetry.logs import build_logger
from caretree.telemetry.metrics import Metrics
from prometheus_client import CollectorRegistry

FOLDER: Final = Path(__file__).resolve().parent
CARD: Final = "urn:example:card"
PATIENTS: Final = ("G-1", "G-2", "G-3")
READERS: Final = (MemberId("town"), MemberId("hospital"), MemberId("office"))
PAGE_SIZE: Final = 100

Told = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A kept directory: who it belongs to, and where its files lie."""

    path: Path
    genesis: Genesis
    keystore: Keystore = field(repr=False)

    @property
    def expected(self) -> Told:
        """What the release that made it read out of it."""
        loaded = json.loads((self.path / "expected.json").read_text(encoding="utf-8"))
        assert isinstance(loaded, dict)
        return loaded

    @property
    def receipt(self) -> bytes:
        """A receipt that the release handed out."""
        return (self.path / "receipt").read_bytes()


def kept_directories() -> list[Path]:
    """Every kept directory, one for each release that changed what is stored."""
    return sorted(path.parent for path in FOLDER.glob("*/expected.json"))


def read_kept(path: Path) -> Kept:
    """A kept directory, by its files beside the data."""
    expected_hash = read_hash((path / "genesis-hash").read_text(encoding="ascii"))
    keystore_key = (path / "keystore.key").read_bytes()
    return Kept(
        path=path,
        genesis=check_founded((path / "genesis").read_bytes(), expected_hash=expected_hash),
        keystore=decode_keystore((path / "keystore").read_bytes(), key=RawKey(key=keystore_key)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A peer that came back from a kept directory, and is about to listen."""

    kept: Kept
    peer: Peer
    disk: Disk

    @property
    def parts(self) -> PeerParts:
        """What the peer is made of."""
        return self.peer._parts

    def head(self) -> Told:
        """Where the chain ends."""
        head = self.parts.applier.head
        return {
            "height": head.height,
            "block_hash": head.block_hash.hex(),
            "time_ms": head.time_ms,
            "tree_size": head.tree_size,
            "root": head.root.hex(),
        }

    def shown(self) -> Told:
        """What the peer had shown to others."""
        mark = self.disk.watermark.read()
        return {
            "last_index": mark.last_index,
            "last_term": mark.last_term,
            "term": mark.term,
            "signed_size": mark.signed_size,
            "signed_root": mark.signed_root.hex(),
        }

    def certified(self) -> Told:
        """The certified checkpoint that it kept."""
        note = self.peer.checkpoint().note
        checkpoint = parse_checkpoint(parse_note(note).text)
        return {
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": checkpoint.root.hex(),
        }

    def records(self) -> Mapping[str, Told]:
        """Every record that this member may open, opened: its own and those opened to it."""
        rows = self.disk.store.scan(Table.RECORD)
        ids = [(RecordId(key), decode_record_place(value).position) for key, value in rows]
        found: dict[str, Told] = {}
        for record_id, position in ids:
            entry = self.parts.desk.blocks.entry(position.height, position.place)
            assert entry is not None
            assert entry.opening.body is not None
            assert entry.opening.payload is not None
            record = parse_body(entry.opening.body).happening
            assert isinstance(record, Record)
            content = self._content(record, entry.opening.payload)
            found[record_id.hex()] = {
                "leaf_index": position.leaf_index,
                "custodian": record.custodian,
                "keyring_epoch": record.keyring_epoch,
                "media_type": record.media_type,
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        return found

    def histories(self) -> Mapping[str, object]:
        """Each patient's history as a physician of each member may see it."""
        return {
            f"{value} as {member}": self._history(value, member)
            for value in PATIENTS
            for member in READERS
        }

    def trail(self) -> list[Told]:
        """Who did what, newest first."""
        page = self.peer.trail(None, before=FIRST_PAGE_BEFORE, limit=PAGE_SIZE)
        assert page.next_before is None, "the kept trail has one page"
        return [_event(event) for event in page.events]

    def everything(self) -> Told:
        """All of the above, as expected.json holds it."""
        return {
            "head": self.head(),
            "shown": self.shown(),
            "certified": self.certified(),
            "records": self.records(),
            "histories": self.histories(),
            "trail": self.trail(),
        }

    def _content(self, record: Record, payload: bytes) -> bytes:
        key = self.parts.desk.keyrings.key(record.custodian, record.patient, record.keyring_epoch)
        assert key is not None, "the kept records were all opened to this member"
        return open_record(payload, record, key, self.kept.genesis.origin)

    def _history(self, value: str, member: MemberId) -> Told:
        actor = Actor(principal="his", person="dr", role=Role.PHYSICIAN)
        view = history_page(
            self.disk.store,
            Reader(actor=actor, member=member, purpose=Purpose.TREATMENT),
            self.parts.desk.patient(card(value)),
            Page(before=FIRST_PAGE_BEFORE, size=PAGE_SIZE),
            self.parts.applier.head.time_ms,
        )
        return {
            "standing": view.standing,
            "open": [item.row.record_id.hex() for item in view.items if item.is_open],
            "closed": [item.leaf_index for item in view.items if not item.is_open],
        }


@asynccontextmanager
async def opened(kept: Kept, data: Path) -> AsyncIterator[Opened]:
    """A peer on `data`, a copy of the kept data: its start is over, and it does not listen yet."""
    directory = DataDirectory.open(data)
    watermark = WatermarkFile.open(directory.watermark_path)
    cipher = RowCipher(kept.keystore.storage_key, random=SystemCustody())
    store = LevelDbStore.open(directory.database_path, cipher=cipher)
    disk = Disk(store, watermark, directory=directory)
    try:
        yield Opened(kept=kept, peer=Peer(_settings(kept), disk), disk=disk)
    finally:
        disk.close()


def card(value: str) -> PatientIdentifier:
    """A patient by card."""
    return normalise_identifier(system=CARD, value=value)


def _settings(kept: Kept) -> PeerSettings:
    keystore, absent = kept.keystore, Path("not-there")
    keys = peer_keys_of(keystore)
    metrics = Metrics(CollectorRegistry())
    log = build_logger(lambda _line: None, level="error")
    return PeerSettings(
        genesis=kept.genesis,
        member=keystore.member,
        own=keys.peer_id(),
        keystore=keystore,
        peer_keys=keys,
        pseudonym_key=keystore.pseudonym_keys[0].key,
        custody=SystemCustody(),
        clock=SystemClock(),
        jitter=lambda _below: 0,
        timing=Timing(),
        listen_peer="127.0.0.1:0",
        tls=TlsFiles(peer_certificate=absent, peer_key=absent),
        deny_list=DenyList(None, metrics=metrics, log=log),
        addresses={},
        version="0.0.0",
        metrics=metrics,
        health=Health(),
        log=log,
    )


def _event(event: TrailEvent) -> Told:
    actor = event.actor
    return {
        "kind": event.kind.name,
        "leaf_index": event.position.leaf_index,
        "height": event.position.height,
        "place": event.position.place,
        "time_ms": event.time_ms,
        "member": event.member,
        "actor": None if actor is None else [actor.principal, actor.person, actor.role.name],
        "pseudonyms": _hex(event.pseudonyms),
        "grantee": event.grantee,
        "grant_id": None if event.grant_id is None else event.grant_id.hex(),
        "purpose": None if event.purpose is None else event.purpose.name,
        "until_ms": event.until_ms,
        "count": event.count,
    }


def _hex(values: Iterable[bytes]) -> list[str]:
    return [value.hex() for value in values]
