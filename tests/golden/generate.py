"""Makes a golden data directory: what one peer of a small consortium leaves behind.

    python -m tests.golden.generate tests/golden/NAME

Three real peers found a consortium, live a little, stop, start again and live on. Kept is the
township's directory with its keystore, the genesis, a receipt, and in expected.json what this very
code reads there. The first life is compacted into table files, the second is still in LevelDB's
log, as a daemon leaves them. README.md says when to make one, and when never to.
"""

import asyncio
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from caretree.crypto.custody import SystemRandom
from caretree.crypto.framing import LABEL_FOUNDER, length_prefixed
from caretree.crypto.keystore import encode_keystore
from caretree.crypto.locked import RawKey
from caretree.ledger.armour import Armour, format_armour
from caretree.ledger.ceremony import combine
from caretree.ledger.values import Actor, ReplaceReason, Replaces, Role
from caretree.model.ids import RecordId, RequestId
from caretree.model.reasons import Reason
from caretree.node.calls import AppendCommand, Source
from caretree.proto.ledger.v1 import genesis_pb2
from caretree.storage.leveldb import LevelDbStore
from caretree.storage.row_cipher import RowCipher

from tests.golden.opening import PATIENTS, card, opened, read_kept
from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.node import asking
from tests.node.cluster import MEMBERS, PHYSICIAN, STORAGE_KEY, Seat, Seats, cluster, level

NURSE = Actor(principal="his", person="nurse-wu", role=Role.NURSE)
KEYSTORE_KEY = hashlib.sha256(b"golden keystore key").digest()
# LevelDB's own log of what it did, and lock files: an open makes them anew.
NOT_KEPT = shutil.ignore_patterns("LOG", "LOG.old", "LOCK")


async def live(path: Path, target: Path) -> dict[str, str]:
    """Two lives of three peers; the township's directory at `target`, and what was written."""
    written: dict[str, str] = {}
    async with cluster(path) as seats:
        first = await _first_life(seats, written)
        for seat in seats.values():
            await seat.stop()
        _compact(seats[TOWN].directory)
        await asyncio.gather(*(seat.start() for seat in seats.values()))
        await _second_life(seats, written)
        await level(seats.values())
        receipt = seats[TOWN].peer.receipt_of_record(first).receipt
        for seat in (seats[OFFICE], seats[HOSPITAL], seats[TOWN]):
            await seat.stop()
        _keep(seats[TOWN], target)
        (target / "genesis").write_bytes(_founded(tuple(seats.values())))
        (target / "receipt").write_bytes(receipt)
    return written


async def _first_life(seats: Seats, written: dict[str, str]) -> RecordId:
    """Records at two centres, grants, readings, a refused one, a replaced record."""
    town, hospital, office = (seats[member] for member in MEMBERS)
    first, *_ = [
        await _append(town, written, [_record(value, number) for number in range(8)])
        for value in PATIENTS
    ]
    referred = PATIENTS[0]
    await _append(hospital, written, [_record(referred, number) for number in range(100, 106)])
    await asking.grant(town, referred, HOSPITAL)
    await asking.grant(hospital, referred, TOWN)
    assert len(await asking.history(hospital, referred)) == 14
    await asking.read(hospital, first[0])
    await asking.history(town, referred, actor=NURSE)
    with asking.refused(Reason.NOT_OPEN):
        await asking.history(office, PATIENTS[1])
    mistaken = Replaces(record_id=first[1], reason=ReplaceReason(1))
    await _append(town, written, [_record(referred, 20, replaces=mistaken)])
    await asking.revoke(town, referred, HOSPITAL)
    await _append(town, written, [_record(referred, number) for number in (21, 22)])
    await office.stop()  # what it refused is told at the latest when it stops
    await level((town, hospital))
    return first[0]


async def _second_life(seats: Seats, written: dict[str, str]) -> None:
    """Records and a grant under keyring epochs of the first life."""
    town, hospital = seats[TOWN], seats[HOSPITAL]
    await _append(town, written, [_record(PATIENTS[1], 30), _record(PATIENTS[2], 31)])
    await asking.grant(town, PATIENTS[2], HOSPITAL)
    await asking.history(hospital, PATIENTS[2])


def _record(
    value: str, number: int, *, replaces: Replaces | None = None
) -> tuple[AppendCommand, bytes]:
    """A record of this patient, and its content."""
    content = f"check-up {number} of card {value}, 血压 {110 + number}/75 mmHg\n".encode()
    if number % 8 == 7:
        content *= 60  # more than one padding step
    source = Source(system="urn:example:his", id=f"{value}/{number}", part=0)
    command = AppendCommand(
        actor=PHYSICIAN,
        patient=card(value),
        content=content,
        media_type="text/plain;charset=utf-8",
        request_id=None if number % 2 else RequestId(hashlib.sha256(content).digest()[:16]),
        source=source if number % 2 else None,
        replaces=replaces,
    )
    return command, content


async def _append(
    seat: Seat, written: dict[str, str], records: Sequence[tuple[AppendCommand, bytes]]
) -> list[RecordId]:
    answers = await asking.append(seat, *(command for command, _ in records))
    for answer, (_, content) in zip(answers, records, strict=True):
        written[answer.record_id.hex()] = hashlib.sha256(content).hexdigest()
    return [answer.record_id for answer in answers]


def _compact(data: Path) -> None:
    cipher = RowCipher(STORAGE_KEY, random=SystemRandom())
    with closing(LevelDbStore.open(data / "database", cipher=cipher)) as store:
        store._source.compact_range()


def _keep(seat: Seat, target: Path) -> None:
    """The seat's directory, its keystore and the founded genesis, at `target`."""
    shutil.copytree(seat.directory, target / "data", ignore=NOT_KEPT)
    keystore = encode_keystore(
        seat.settings.keystore, key=RawKey(key=KEYSTORE_KEY), random=SystemRandom()
    )
    (target / "keystore").write_bytes(keystore)
    (target / "keystore.key").write_bytes(KEYSTORE_KEY)
    (target / "genesis-hash").write_text(f"{seat.genesis.hash.hex()}\n", encoding="ascii")


def _founded(founders: Sequence[Seat]) -> bytes:
    """The founded genesis file: with every founder's signature."""
    genesis = founders[0].genesis
    signatures = []
    for seat in founders:
        member = seat.founder.member
        message = length_prefixed(LABEL_FOUNDER, genesis.hash, member.encode())
        signed = genesis_pb2.FounderSignature(
            member=member, signature=seat.founder.member_key.sign(message)
        )
        signatures.append(format_armour(Armour.FOUNDER_SIGNATURE, signed.SerializeToString()))
    return combine(format_armour(Armour.GENESIS, genesis.encoded), signatures=signatures)


async def generate(target: Path) -> None:
    """Make a golden data directory in the empty folder `target`."""
    with tempfile.TemporaryDirectory() as folder:
        written = await live(Path(folder) / "lives", target)
        copy = Path(folder) / "copy"
        shutil.copytree(target / "data", copy)
        async with opened(read_kept(target), copy) as found:
            everything = found.everything()
            read = {name: told["sha256"] for name, told in found.records().items()}
    assert read == written, "what was read is not what was written"
    text = json.dumps(everything, indent=1, sort_keys=True, ensure_ascii=False)
    (target / "expected.json").write_text(f"{text}\n", encoding="utf-8")


def main() -> None:
    """Make the one that is named, where there must be nothing."""
    target = Path(sys.argv[1])
    target.mkdir(parents=True)
    asyncio.run(generate(target))


if __name__ == "__main__":
    main()
