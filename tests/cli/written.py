"""Records written into a founded member's data directory, as its own peer would have."""

from collections.abc import Sequence
from contextlib import closing
from typing import Final

from caretree.cli.home import Home
from caretree.crypto.custody import SystemCustody
from caretree.crypto.pseudonym import normalise_identifier, pseudonym_of
from caretree.crypto.resident_number import RESIDENT_NUMBER_SYSTEM
from caretree.ledger.apply import Applied, apply_block
from caretree.ledger.authoring import Author, Draft, NewRecord, Request, draft_keyring, draft_record
from caretree.ledger.batches import build_batch
from caretree.ledger.blocks import build_block
from caretree.ledger.chain import load_head
from caretree.ledger.holding import hold_block, no_holes
from caretree.ledger.stored_blocks import store_block
from caretree.ledger.tree import load_edge
from caretree.ledger.values import Actor, Patient, Role
from caretree.model.ids import Digest, Height, RecordId, RequestId, TimeMs
from caretree.storage.leveldb import LevelDbStore
from caretree.storage.row_cipher import RowCipher

PATIENT: Final = "999999199001011238"


def write_records(home: Home, contents: Sequence[bytes]) -> list[RecordId]:
    """A block with a keyring and a record for each content; the records' ids, in order."""
    genesis, keystore, custody = home.read_genesis(), home.read_keystore(), SystemCustody()
    assert keystore.peer_keys is not None
    keys = keystore.peer_keys
    author = Author(origin=genesis.origin, peer=keys.peer_id(), member=keystore.member)
    identifier = normalise_identifier(system=RESIDENT_NUMBER_SYSTEM, value=PATIENT)
    pseudonym = pseudonym_of(keystore.pseudonym_keys[0].key, identifier)
    patient = Patient(pseudonym_epoch=1, pseudonym=pseudonym)
    keyring, epoch_key = draft_keyring(
        author,
        _request(0),
        patient,
        previous=None,
        sealing_keys={keystore.member: keystore.sealing_key.public_key},
        custody=custody,
    )
    ids = [RecordId(number.to_bytes(16, "big")) for number in range(1, len(contents) + 1)]
    records = [
        draft_record(
            author,
            _request(number),
            NewRecord(
                record_id=record_id,
                patient=patient,
                content=content,
                media_type="application/fhir+json",
                document_id=record_id,
                part=0,
                replaces=None,
            ),
            epoch_key,
            custody,
        )
        for number, (record_id, content) in enumerate(zip(ids, contents, strict=True), start=1)
    ]
    _apply(home, author, [keyring, *records], sign_with=home)
    return ids


def _apply(home: Home, author: Author, drafts: Sequence[Draft], *, sign_with: Home) -> None:
    genesis, keystore = home.read_genesis(), sign_with.read_keystore()
    assert keystore.peer_keys is not None
    cipher = RowCipher(keystore.storage_key, random=SystemCustody())
    database = home.path / "data" / "database"
    with closing(LevelDbStore.open(database, cipher=cipher)) as store:
        head = load_head(store)
        assert head is not None
        batch = build_batch(
            origin=genesis.origin,
            author=author.peer,
            drafts=[(draft.leaf, draft.opening) for draft in drafts],
            sign=keystore.peer_keys.batch.sign,
        )
        block = build_block(
            height=Height(head.height + 1),
            parent=head.block_hash,
            time_ms=TimeMs(head.time_ms + 1000),
            membership_epoch=head.membership_epoch,
            ledger_version=head.ledger_version,
            leader=author.peer,
            batches=[batch],
        )
        held = hold_block(block, genesis, recorded_outcomes=None, holes_allowed=no_holes)
        applied = apply_block(store, head, held, genesis, load_edge(store, head))
        assert isinstance(applied, Applied)
        store_block(applied.batch, held)
        store.write(applied.batch, sync=True)


def _request(number: int) -> Request:
    return Request(
        request_id=RequestId(number.to_bytes(16, "big")),
        request_digest=Digest(bytes(32)),
        actor=Actor(principal="records", person="dr-wang", role=Role.PHYSICIAN),
    )
