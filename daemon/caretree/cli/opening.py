"""A member's own records out of a store, opened with its keystore: no peer, no network."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from caretree.crypto.aead import OpeningError
from caretree.crypto.custody import Custody
from caretree.crypto.keystore import Keystore
from caretree.ledger.authoring import keyring_context, open_record
from caretree.ledger.bodies import parse_body
from caretree.ledger.genesis import Genesis
from caretree.ledger.key_paths import EpochKey, key_path, open_key_path
from caretree.ledger.queries import block_place
from caretree.ledger.rows import RecordPlace, decode_record_place
from caretree.ledger.stored_blocks import StoredBlocks
from caretree.ledger.values import Patient, Position, Record
from caretree.model.errors import MalformedError
from caretree.model.ids import Pseudonym, RecordId, TimeMs
from caretree.storage.keys import Table
from caretree.storage.ports import Reads

# Records come in the order of their ids, which is no patient's order; opening a key takes HPKE.
EPOCH_KEYS_MAX: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRecord:
    """A record of the member; what its body says is missing where it was erased."""

    record_id: RecordId
    time_ms: TimeMs
    media_type: str
    document_id: bytes
    part: int
    erased: bool
    position: Position
    record: Record | None = field(repr=False)


class MemberRecords:
    """The records whose custodian the keystore's member is."""

    def __init__(
        self, reads: Reads, *, genesis: Genesis, keystore: Keystore, custody: Custody
    ) -> None:
        self._reads = reads
        self._blocks = StoredBlocks(reads)
        self._genesis = genesis
        self._keystore = keystore
        self._custody = custody
        self._keys: dict[tuple[Pseudonym, int], EpochKey] = {}

    def found(self) -> Iterator[FoundRecord]:
        """Every record of the member, in the order of record ids.

        Raises:
            FatalError: the store is damaged.
        """
        for key, value in self._reads.scan(Table.RECORD):
            place = decode_record_place(value)
            if place.custodian == self._keystore.member:
                yield self._found(RecordId(key), place)

    def content(self, found: FoundRecord) -> bytes:
        """The content of a record that was not erased, checked against its body.

        Raises:
            VerificationError: a key or the payload does not open, or is another record's.
            MalformedError: the payload is none.
        """
        entry = self._blocks.entry(found.position.height, found.position.place)
        assert entry is not None
        assert entry.opening.payload is not None
        assert found.record is not None
        key = self._epoch_key(found.record)
        return open_record(entry.opening.payload, found.record, key, self._genesis.origin)

    def _found(self, record_id: RecordId, place: RecordPlace) -> FoundRecord:
        position = place.position
        entry = self._blocks.entry(position.height, position.place)
        block = block_place(self._reads, position.height)
        assert entry is not None
        assert block is not None
        record = None if entry.opening.body is None else _record(entry.opening.body)
        return FoundRecord(
            record_id=record_id,
            time_ms=block.time_ms,
            media_type="" if record is None else record.media_type,
            document_id=b"" if record is None else record.document_id,
            part=0 if record is None else record.part,
            erased=record is None or entry.opening.payload is None,
            position=position,
            record=record,
        )

    def _epoch_key(self, record: Record) -> EpochKey:
        at = (record.patient.pseudonym, record.keyring_epoch)
        if at not in self._keys:
            if len(self._keys) == EPOCH_KEYS_MAX:
                self._keys.clear()
            self._keys[at] = self._open_epoch_key(record.patient, record.keyring_epoch)
        return self._keys[at]

    def _open_epoch_key(self, patient: Patient, epoch: int) -> EpochKey:
        member = self._keystore.member
        context = keyring_context(self._genesis.origin, member, patient)
        path = key_path(self._reads, context, patient, member=member, epoch=epoch)
        if path is None:
            raise OpeningError(f"no key of keyring epoch {epoch} was sealed to {member}")
        return open_key_path(
            path, context, custody=self._custody, sealing_key=self._keystore.sealing_key
        )


def _record(body: bytes) -> Record | None:
    try:
        happening = parse_body(body).happening
    except MalformedError:
        return None
    return happening if isinstance(happening, Record) else None
