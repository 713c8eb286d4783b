"""The canaries: what is told to the daemons, and every key that the members hold afterwards."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from caretree.cli.home import Home
from caretree.cli.opening import MemberRecords
from caretree.client import ActingPerson, NewRecord
from caretree.crypto.commitments import content_key
from caretree.crypto.custody import SystemCustody
from caretree.crypto.pseudonym import normalise_identifier, pseudonym_of
from caretree.crypto.resident_number import RESIDENT_NUMBER_SYSTEM, resident_check_place
from caretree.crypto.sealing import RecordContext, unwrap_record_key
from caretree.ledger.payloads import parse_payload
from caretree.ledger.stored_blocks import StoredBlocks
from caretree.ledger.values import Role
from caretree.model.ids import RequestId
from caretree.storage.leveldb import LevelDbStore
from caretree.storage.row_cipher import RowCipher

from tests.node.canaries import Canary

CARD_SYSTEM: Final = "urn:example:card"
CARD: Final = "CANARY-CARD-7F3A9C21"
BORN: Final = "99999919850315243"
NUMBER: Final = BORN + resident_check_place(BORN)
WRONG_NUMBER: Final = BORN + next(digit for digit in "01" if digit != NUMBER[17])
PERSON: Final = "CANARY-PERSON-88231"
ENGLISH: Final = "canary: chest tightness for three days, worse at night"
CHINESE: Final = "金丝雀胸闷三天夜间加重"
ENCODINGS: Final = ("utf-8", "gb18030", "utf-16-le")
ACTING: Final = ActingPerson(id=PERSON, role=Role.PHYSICIAN)

TOLD: Final = (
    Canary(what="the English complaint", value=ENGLISH),
    Canary(what="the Chinese complaint", value=CHINESE),
    Canary(what="the card", value=CARD),
    Canary(what="the resident number", value=BORN),
    Canary(what="the acting person", value=PERSON),
)


def record(number: int, content: bytes) -> NewRecord:
    """A record of the card's bearer, or of the resident, in turn."""
    system, value = ((CARD_SYSTEM, CARD), (RESIDENT_NUMBER_SYSTEM, NUMBER))[number % 2]
    return NewRecord(
        patient=normalise_identifier(system=system, value=value),
        content=content,
        media_type="text/plain",
        acting=ACTING,
        request_id=RequestId(number.to_bytes(16, "big")),
    )


def contents() -> list[bytes]:
    """The complaints in every encoding, often enough that no cut hits each of them."""
    return [
        f"{text} ".encode(encoding) * copies
        for copies in (3, 40)
        for text in (ENGLISH, CHINESE)
        for encoding in ENCODINGS
    ]


def open_store(folder: Path) -> LevelDbStore:
    """The database of the member whose folder this is."""
    cipher = RowCipher(Home(path=folder).read_keystore().storage_key, random=SystemCustody())
    return LevelDbStore.open(folder / "data" / "database", cipher=cipher)


def member_keys(folder: Path) -> Iterator[Canary]:
    """Every key of the member whose folder this is."""
    keystore = Home(path=folder).read_keystore()
    peer_keys = keystore.peer_keys
    assert peer_keys is not None
    for what, value in {
        "member key": keystore.member_key.seed,
        "sealing key": keystore.sealing_key.private_key,
        "member secret": keystore.member_secret,
        "storage key": keystore.storage_key,
        "pseudonym key": keystore.pseudonym_keys[0].key,
        "batch key": peer_keys.batch.seed,
        "log key": peer_keys.log.seed,
        "co-signer key": peer_keys.cosigner.seed,
    }.items():
        yield Canary(what=f"the {what} of {keystore.member}", value=value)


def record_keys(folder: Path) -> Iterator[Canary]:
    """Every key of the records that the member wrote."""
    home = Home(path=folder)
    genesis, keystore = home.read_genesis(), home.read_keystore()
    with closing(open_store(folder)) as store:
        records = MemberRecords(store, genesis=genesis, keystore=keystore, custody=SystemCustody())
        blocks = StoredBlocks(store)
        for found in records.found():
            assert found.record is not None
            entry = blocks.entry(found.position.height, found.position.place)
            assert entry is not None
            assert entry.opening.payload is not None
            epoch_key = records._epoch_key(found.record).key
            context = RecordContext(
                origin=genesis.origin, custodian=keystore.member, record_id=found.record_id
            )
            wrapped = parse_payload(entry.opening.payload).wrapped_key
            key = unwrap_record_key(epoch_key=epoch_key, context=context, wrapped=wrapped)
            at = found.position.leaf_index
            yield Canary(what=f"the epoch key of leaf {at}", value=epoch_key)
            yield Canary(what=f"the record key of leaf {at}", value=key)
            yield Canary(what=f"the content key of leaf {at}", value=content_key(key))


def pseudonyms(folder: Path) -> Iterator[Canary]:
    """The pseudonyms of both patients."""
    key = Home(path=folder).read_keystore().pseudonym_keys[0].key
    for number in range(2):
        value = pseudonym_of(key, record(number, b"").patient)
        yield Canary(what=f"the pseudonym of patient {number}", value=value)
