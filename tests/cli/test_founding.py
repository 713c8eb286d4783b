import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from caretree.cli.home import Home
from caretree.config.parse import load_config
from caretree.crypto.custody import SystemRandom
from caretree.ledger.chain import check_chain
from caretree.ledger.genesis import Genesis
from caretree.merkle.policy_text import parse_policy
from caretree.model.ids import Term
from caretree.node.founding import create_data_directory
from caretree.storage.directory import DataDirectory
from caretree.storage.errors import DataDirectoryExistsError, DataDirectoryInUseError
from caretree.storage.leveldb import LevelDbStore
from caretree.storage.row_cipher import RowCipher
from caretree.storage.watermark import WatermarkFile

from tests.cli.commands import (
    MEMBERS,
    PORTS,
    TOWN,
    Ran,
    caretree,
    check_refused,
    collect,
    done,
    init_member,
    invite,
    sign,
)
from tests.cli.conftest import Founding
from tests.ledger import founding as ceremony


def test_three_members_found_a_consortium_and_each_holds_block_0(founded: Founding) -> None:
    origins = set()
    for member in MEMBERS:
        home = Home(path=founded.folder / member)
        genesis, config = home.read_genesis(), load_config(home.config)
        origins.add(genesis.origin)
        with _opened(home) as store:
            head = check_chain(store, genesis)

        assert head.height == 0
        assert head.tree_size == 2
        assert config.peer.member == member
        assert genesis.hash.hex() == founded.genesis_hash
        assert parse_policy(home.policy.read_bytes()).quorum == "certified"
    assert len(origins) == 1


def test_every_founder_holds_the_same_pseudonym_key_after_the_import(founded: Founding) -> None:
    homes = [Home(path=founded.folder / member) for member in MEMBERS]

    keys = {home.read_keystore().pseudonym_keys for home in homes}

    assert len(keys) == 1
    assert len(next(iter(keys))) == 1


def test_secrets_are_their_owners_alone(founded: Founding) -> None:
    folder = founded.folder / TOWN
    secrets = ("keystore", "keystore.key", "ca.key", "peer.key", "recovery-kit", "caretree.toml")

    assert folder.stat().st_mode & 0o777 == 0o700
    assert {name: (folder / name).stat().st_mode & 0o777 for name in secrets} == dict.fromkeys(
        secrets, 0o600
    )


def test_no_secret_is_shown_or_stands_in_a_file_in_the_clear(founded: Founding) -> None:
    home = Home(path=founded.folder / TOWN)
    keystore = home.read_keystore()
    assert keystore.peer_keys is not None
    secrets = [
        keystore.member_key.seed,
        keystore.sealing_key.private_key,
        keystore.member_secret,
        keystore.storage_key,
        keystore.pseudonym_keys[0].key,
        keystore.peer_keys.batch.seed,
    ]

    for file in (path for path in founded.folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        assert not any(secret in content or secret.hex().encode() in content for secret in secrets)


@pytest.mark.parametrize("missing", MEMBERS)
def test_an_import_without_every_signature_is_refused(signed: Founding, missing: str) -> None:
    ran = _import(signed, signers=[member for member in MEMBERS if member != missing])

    check_refused(ran, f"the signature of {missing} is missing")
    assert not (signed.folder / TOWN / "data").exists()
    assert not (signed.folder / TOWN / "genesis").exists()


def test_an_import_without_any_signature_is_refused(signed: Founding) -> None:
    check_refused(_import(signed, signers=[]), "the signature of town, hospital, office")


def test_an_import_by_another_hash_is_refused(signed: Founding) -> None:
    other = f"{int(signed.genesis_hash, 16) ^ 1:064x}"

    ran = _import(signed, genesis_hash=other)

    check_refused(ran, f"expected the genesis {other}")


def test_an_import_by_what_is_no_hash_is_refused(signed: Founding) -> None:
    check_refused(_import(signed, genesis_hash="abc"), "expected a hash of 64 hex digits")


def test_a_hash_may_be_given_in_groups(signed: Founding) -> None:
    digits = signed.genesis_hash.upper()
    grouped = " ".join(digits[at : at + 8] for at in range(0, 64, 8))

    assert _import(signed, genesis_hash=grouped).status == 0


def test_a_genesis_changed_on_its_way_is_refused(signed: Founding) -> None:
    path = signed.folder / "genesis"
    lines = path.read_text().splitlines()
    lines[3] = lines[3][:-1] + ("A" if lines[3][-1] != "A" else "B")
    path.write_text("\n".join(lines) + "\n")

    check_refused(_import(signed), "the checksum differs")


def test_signatures_of_another_genesis_are_refused(signed: Founding) -> None:
    collect(signed.folder, out="later")
    shutil.copy(signed.folder / "later", signed.folder / "genesis")

    check_refused(_import(signed), "does not hold")


def test_a_founder_does_not_sign_what_it_did_not_ask_for(signed: Founding) -> None:
    folder = signed.folder
    shutil.rmtree(folder / TOWN)
    init_member(folder, TOWN)

    ran = caretree(
        *("member", "sign", folder / "genesis", "--directory", folder / TOWN),
        *("--out", folder / "again.signature"),
    )

    assert ran.status == 1
    assert not (folder / "again.signature").exists()


def test_an_authority_that_is_no_certificate_is_named_before_anything_is_founded(
    tmp_path: Path,
) -> None:
    # The ledger's own founders have authorities that only begin as certificates do.
    (tmp_path / "invitation").write_bytes(ceremony.invitation())
    for place, file in enumerate(ceremony.requests()):
        (tmp_path / f"request-{place}").write_bytes(file)
    requests = [tmp_path / f"request-{place}" for place in range(3)]

    ran = caretree(
        *("consortium", "found", tmp_path / "invitation", *requests),
        *("--out", tmp_path / "genesis"),
    )

    check_refused(ran, "the certificate authority of town is no certificate")
    assert not (tmp_path / "genesis").exists()


def test_a_genesis_with_such_an_authority_is_not_signed(signed: Founding) -> None:
    genesis, out = signed.folder / "damaged", signed.folder / "damaged.signature"
    genesis.write_bytes(ceremony.founding())

    ran = caretree(
        *("member", "sign", genesis, "--directory", signed.folder / TOWN, "--out", out),
    )

    check_refused(ran, "the certificate authority of town is no certificate")
    assert not out.exists()


def test_a_founded_genesis_is_imported_without_further_signatures(signed: Founding) -> None:
    assert _import(signed).status == 0
    founded, hospital = signed.folder / TOWN / "genesis", signed.folder / "hospital"

    done("member", "import", founded, "--hash", signed.genesis_hash, "--directory", hospital)

    assert Home(path=hospital).read_genesis().hash.hex() == signed.genesis_hash


def test_a_genesis_that_does_not_name_this_members_keys_is_refused(signed: Founding) -> None:
    folder = signed.folder
    (folder / "office").rename(folder / "elsewhere")
    init_member(folder, "office")

    ran = _import(signed, member="office")

    check_refused(ran, "the genesis does not name the keys of office here")


def test_an_import_is_done_once(founded: Founding) -> None:
    check_refused(_import(founded), "has imported a genesis already")


def test_an_import_cut_short_may_be_done_again(founded: Founding) -> None:
    (founded.folder / TOWN / "genesis").unlink()

    assert _import(founded).status == 0


def test_a_data_directory_that_was_shown_to_others_never_begins_anew(founded: Founding) -> None:
    home = Home(path=founded.folder / TOWN)
    home.genesis.unlink()
    data = load_config(home.config).peer.data_directory
    with (
        closing(DataDirectory.open(data)) as directory,
        closing(WatermarkFile.open(directory.watermark_path)) as watermark,
    ):
        watermark.write(replace(watermark.read(), term=Term(1)))

    check_refused(_import(founded), "never begins an existing one anew")


def test_a_data_directory_in_use_is_left_alone(founded: Founding) -> None:
    home = Home(path=founded.folder / TOWN)
    with (
        closing(DataDirectory.open(home.path / "data")),
        pytest.raises(DataDirectoryInUseError),
    ):
        _create(home, home.read_genesis())


def test_a_data_directory_of_another_genesis_is_left_alone(
    founded: Founding, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    invite(other)
    for member in MEMBERS:
        init_member(other, member)
    genesis_hash = collect(other)
    signatures = [sign(other, member) for member in MEMBERS]
    done(
        *("member", "import", other / "genesis", *signatures),
        *("--hash", genesis_hash, "--directory", other / TOWN),
    )

    with pytest.raises(DataDirectoryExistsError):
        _create(Home(path=founded.folder / TOWN), Home(path=other / TOWN).read_genesis())


def test_a_genesis_changed_after_its_import_is_not_believed(founded: Founding) -> None:
    home = Home(path=founded.folder / TOWN)
    home.genesis_hash.write_text("0" * 64 + "\n")

    ran = caretree("member", "principal", "eve", "--kind", "operator", "--directory", home.path)

    check_refused(ran, "expected the genesis 0000")


def test_a_directory_that_is_not_empty_is_not_begun_anew(signed: Founding) -> None:
    folder = signed.folder
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    ran = caretree(
        *("member", "init", folder / "invitation", "--member", TOWN, "--display-name", "x"),
        *("--directory", folder / TOWN, "--address", f"127.0.0.1:{PORTS[TOWN]}", "--no-kit"),
    )

    check_refused(ran, "exists and is not empty")
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--address", "town.example", "--address: expected host:port"),
        ("--client-listen", "127.0.0.1:0", "--client-listen: expected host:port"),
        ("--http-listen", "127.0.0.1:7401", "two of the listening addresses are the same"),
        ("--member", "stranger", "stranger is not invited"),
        ("--display-name", "a\nb", "expected a name of visible characters"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(
    tmp_path: Path, option: str, value: str, said: str
) -> None:
    invite(tmp_path)
    options = {
        "--member": TOWN,
        "--display-name": "Township Centre",
        "--directory": str(tmp_path / TOWN),
        "--address": "127.0.0.1:7402",
    } | {option: value}

    ran = caretree(
        *("member", "init", tmp_path / "invitation", "--no-kit"),
        *(part for pair in options.items() for part in pair),
    )

    check_refused(ran, said)
    assert not (tmp_path / TOWN).exists()


def test_a_file_is_never_written_over(signed: Founding) -> None:
    requests = [signed.folder / member / "join-request" for member in MEMBERS]
    genesis = signed.folder / "genesis"
    before = genesis.read_bytes()

    ran = caretree(
        *("consortium", "found", signed.folder / "invitation", *requests, "--out", genesis)
    )

    check_refused(ran, "exists already")
    assert genesis.read_bytes() == before


def test_a_missing_join_request_is_named(signed: Founding) -> None:
    requests = [signed.folder / member / "join-request" for member in ("town", "office")]

    ran = caretree(
        *("consortium", "found", signed.folder / "invitation", *requests),
        *("--out", signed.folder / "other"),
    )

    check_refused(ran, "the join request of hospital is missing")


def test_the_policy_of_a_founded_genesis_is_printed_and_written(founded: Founding) -> None:
    home = Home(path=founded.folder / TOWN)
    named = ("policy", "--genesis", home.genesis, "--hash", founded.genesis_hash)

    printed = done(*named)
    done(*named, "--out", founded.folder / "policy")

    assert printed.stdout.encode() == home.policy.read_bytes()
    assert (founded.folder / "policy").read_bytes() == home.policy.read_bytes()


def test_a_policy_of_another_genesis_is_refused(founded: Founding) -> None:
    genesis = founded.folder / TOWN / "genesis"

    check_refused(
        caretree("policy", "--genesis", genesis, "--hash", "00" * 32), "expected the genesis 0000"
    )


def _import(
    founding: Founding,
    *,
    member: str = TOWN,
    signers: list[str] | None = None,
    genesis_hash: str | None = None,
) -> Ran:
    folder = founding.folder
    names = MEMBERS if signers is None else signers
    signatures = [folder / f"{name}.genesis.signature" for name in names]
    return caretree(
        *("member", "import", folder / "genesis", *signatures),
        *("--hash", genesis_hash or founding.genesis_hash, "--directory", folder / member),
    )


def _create(home: Home, genesis: Genesis) -> None:
    keystore = home.read_keystore()
    cipher = RowCipher(keystore.storage_key, random=SystemRandom())
    create_data_directory(home.path / "data", genesis=genesis, cipher=cipher)


def _opened(home: Home) -> "closing[LevelDbStore]":
    cipher = RowCipher(home.read_keystore().storage_key, random=SystemRandom())
    return closing(LevelDbStore.open(home.path / "data" / "database", cipher=cipher))
