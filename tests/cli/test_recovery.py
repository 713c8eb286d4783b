import shutil
from contextlib import closing
from pathlib import Path

import pytest
from caretree.cli.errors import CommandError
from caretree.cli.home import Home, peer_keys_of
from caretree.crypto.custody import SystemRandom
from caretree.crypto.recovery_code import draw_recovery_code, read_recovery_code
from caretree.ledger.queries import record_place
from caretree.ledger.row_keys import entry_key
from caretree.ledger.stored_blocks import applied_ref
from caretree.model.errors import MalformedError
from caretree.model.ids import RecordId
from caretree.storage.keys import Table
from caretree.storage.leveldb import LevelDbStore
from caretree.storage.ports import Batch
from caretree.storage.row_cipher import RowCipher

from tests.cli.commands import TOWN, Ran, caretree, done
from tests.cli.conftest import Founding
from tests.cli.written import write_records
from tests.ledger.builders import FixedRandom

CONTENTS = (b'{"resourceType":"Bundle","n":1}', b'{"resourceType":"Bundle","n":2}')


def test_a_restored_kit_opens_records_from_a_copied_data_directory(
    founded: Founding, tmp_path: Path
) -> None:
    ids = write_records(Home(path=founded.folder / TOWN), CONTENTS)
    machine = _empty_machine(founded, tmp_path)

    _restore(machine, founded, typed=founded.code)
    ran = done(
        *("member", "open-records", "--directory", machine / "restored"),
        *("--data", machine / "copied", "--out", machine / "opened", "--json"),
    )

    opened = {path.name: path.read_bytes() for path in (machine / "opened").iterdir()}
    assert opened == {
        f"{record_id.hex()}.json": content for record_id, content in zip(ids, CONTENTS, strict=True)
    }
    records = ran.json["records"]
    assert isinstance(records, list)
    assert [record["record_id"] for record in records] == [record_id.hex() for record_id in ids]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (machine / "opened").iterdir())


def test_what_is_restored_has_no_peers_keys_to_sign_with(founded: Founding, tmp_path: Path) -> None:
    machine = _empty_machine(founded, tmp_path)
    original = Home(path=founded.folder / TOWN).read_keystore()

    _restore(machine, founded, typed=founded.code)

    restored = Home(path=machine / "restored").read_keystore()
    assert restored.peer_keys is None
    assert restored.member_key == original.member_key
    assert restored.member_secret == original.member_secret
    assert restored.pseudonym_keys == original.pseudonym_keys
    with pytest.raises(CommandError, match="restored from a recovery kit"):
        peer_keys_of(restored)


def test_a_restored_authority_issues_again(founded: Founding, tmp_path: Path) -> None:
    machine = _empty_machine(founded, tmp_path)

    _restore(machine, founded, typed=founded.code)

    restored = Home(path=machine / "restored").read_authority()
    original = Home(path=founded.folder / TOWN).read_authority()
    assert restored.certificate == original.certificate
    assert restored.key_pem() == original.key_pem()


def test_a_mistyped_code_is_asked_for_again(founded: Founding, tmp_path: Path) -> None:
    machine = _empty_machine(founded, tmp_path)
    mistyped = _mistyped(founded.code)

    ran = _restore(machine, founded, typed=f"{mistyped}\n{founded.code.lower()}")

    assert "compare every group with the paper" in ran.stderr
    assert founded.code not in ran.stderr + ran.stdout


def test_a_code_mistyped_too_often_restores_nothing(founded: Founding, tmp_path: Path) -> None:
    machine = _empty_machine(founded, tmp_path)

    ran = _try_to_restore(machine, founded, typed="wrong\n" * 5)

    assert ran.status == 1
    assert "no recovery code was typed in 5 attempts" in ran.stderr
    assert not (machine / "restored").exists()


def test_another_kits_code_opens_nothing(founded: Founding, tmp_path: Path) -> None:
    machine = _empty_machine(founded, tmp_path)
    other = draw_recovery_code(FixedRandom(1)).printed()

    ran = _try_to_restore(machine, founded, typed=other)

    assert ran.status == 1
    assert "check that code and kit belong together" in ran.stderr
    assert not (machine / "restored").exists()


def test_a_kit_is_not_restored_under_another_consortiums_genesis(
    founded: Founding, tmp_path: Path
) -> None:
    machine = _empty_machine(founded, tmp_path)

    ran = caretree(
        *("member", "restore", machine / "kit", "--genesis", machine / "genesis"),
        *("--hash", "00" * 32, "--directory", machine / "restored"),
        typed=founded.code,
    )

    assert ran.status == 1
    assert "expected the genesis 0000" in ran.stderr


def test_records_are_listed_without_an_output_folder(founded: Founding) -> None:
    home = Home(path=founded.folder / TOWN)
    ids = write_records(home, CONTENTS)

    ran = done("member", "open-records", "--directory", home.path, "--data", home.path / "data")

    assert [line.split("\t")[0] for line in ran.stdout.splitlines()[1:]] == [
        record_id.hex() for record_id in ids
    ]
    assert not any(content.decode() in ran.stdout for content in CONTENTS)


def test_another_members_storage_key_opens_nothing(founded: Founding) -> None:
    folder = founded.folder
    write_records(Home(path=folder / TOWN), CONTENTS)

    ran = caretree(
        *("member", "open-records", "--directory", folder / "hospital"),
        *("--data", folder / TOWN / "data"),
    )

    assert ran.status == 1
    assert "the keystore and the data directory do not belong together" in ran.stderr


def test_an_erased_record_is_listed_as_erased(founded: Founding) -> None:
    home = Home(path=founded.folder / TOWN)
    first, second = write_records(home, CONTENTS)
    _delete(home, Table.PAYLOAD, first)
    _delete(home, Table.BODY, first)

    ran = done(
        *("member", "open-records", "--directory", home.path, "--data", home.path / "data"),
        *("--out", home.path / "opened"),
    )

    assert "erased" in ran.stdout
    assert [path.stem for path in (home.path / "opened").iterdir()] == [second.hex()]


def test_a_record_that_does_not_open_is_named_and_the_others_are_opened(
    founded: Founding,
) -> None:
    home = Home(path=founded.folder / TOWN)
    first, second = write_records(home, CONTENTS)
    _swap_payload(home, first, second)

    ran = caretree(
        *("member", "open-records", "--directory", home.path, "--data", home.path / "data"),
        *("--out", home.path / "opened"),
    )

    assert ran.status == 1
    assert "some records did not open" in ran.stderr
    assert [path.stem for path in (home.path / "opened").iterdir()] == [second.hex()]


def _empty_machine(founding: Founding, tmp_path: Path) -> Path:
    """A folder with nothing but the kit, the genesis and a copy of the data directory."""
    machine = tmp_path / "machine"
    machine.mkdir()
    town = founding.folder / TOWN
    shutil.copy(town / "recovery-kit", machine / "kit")
    shutil.copy(founding.folder / "hospital" / "genesis", machine / "genesis")
    shutil.copytree(town / "data", machine / "copied")
    return machine


def _mistyped(code: str) -> str:
    """The code with two neighbours swapped where its check notices: one swap in 1,024 passes it."""
    for at in range(len(code) - 1):
        swapped = code[:at] + code[at + 1] + code[at] + code[at + 2 :]
        try:
            read_recovery_code(swapped)
        except MalformedError:
            return swapped
    raise AssertionError("no swap of neighbours is noticed")


def _restore(machine: Path, founding: Founding, *, typed: str) -> Ran:
    ran = _try_to_restore(machine, founding, typed=typed)
    assert ran.status == 0, ran.stderr
    return ran


def _try_to_restore(machine: Path, founding: Founding, *, typed: str) -> Ran:
    return caretree(
        *("member", "restore", machine / "kit", "--genesis", machine / "genesis"),
        *("--hash", founding.genesis_hash, "--directory", machine / "restored"),
        typed=f"{typed}\n",
    )


def _store(home: Home) -> "closing[LevelDbStore]":
    cipher = RowCipher(home.read_keystore().storage_key, random=SystemRandom())
    return closing(LevelDbStore.open(home.path / "data" / "database", cipher=cipher))


def _key(store: LevelDbStore, record_id: RecordId) -> bytes:
    place = record_place(store, record_id)
    assert place is not None
    ref = applied_ref(store, place.position.height)
    assert ref is not None
    return entry_key(ref, place.position.place)


def _delete(home: Home, table: Table, record_id: RecordId) -> None:
    with _store(home) as store:
        batch = Batch()
        batch.delete(table, _key(store, record_id))
        store.write(batch, sync=True)


def _swap_payload(home: Home, to: RecordId, source: RecordId) -> None:
    with _store(home) as store:
        payload = store.get(Table.PAYLOAD, _key(store, source))
        assert payload is not None
        batch = Batch()
        batch.put(Table.PAYLOAD, _key(store, to), payload)
        store.write(batch, sync=True)
