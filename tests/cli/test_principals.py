import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from caretree.cli.home import Home
from caretree.config.client import load_client_config
from caretree.config.parse import load_config
from caretree.config.values import Principal, PrincipalKind
from caretree.ledger.values import Role
from caretree.node.identity import PrincipalIdentity, identity_of
from cryptography import x509

from tests.cli.commands import TOWN, caretree, check_refused, done
from tests.cli.conftest import Founding


def test_a_principal_is_listed_and_gets_a_folder_that_can_be_moved(
    founded: Founding, tmp_path: Path
) -> None:
    home = Home(path=founded.folder / TOWN)
    genesis = home.read_genesis()

    done(*_principal(home, "records", "system", "physician", "registrar"))
    moved = home.principal("records").rename(tmp_path / "moved")

    client = load_client_config(moved / "client.toml")
    certificate = x509.load_pem_x509_certificate(client.certificate.read_bytes())
    assert load_config(home.config).principals == (
        Principal(
            name="records",
            kind=PrincipalKind.SYSTEM,
            roles=frozenset({Role.PHYSICIAN, Role.REGISTRAR}),
        ),
    )
    assert identity_of(certificate, genesis) == PrincipalIdentity(
        member=genesis.members[0].member, principal="records"
    )
    assert client.address == "127.0.0.1:17401"
    assert client.origin == genesis.origin
    assert client.policy.read_bytes() == home.policy.read_bytes()
    assert client.ca_certificate.read_bytes() == home.ca_certificate.read_bytes()
    assert client.key.stat().st_mode & 0o777 == 0o600
    assert moved.stat().st_mode & 0o777 == 0o700


def test_the_clients_server_name_is_in_the_peers_certificate(founded: Founding) -> None:
    home = Home(path=founded.folder / TOWN)
    done(*_principal(home, "night-shift", "operator"))

    client = load_client_config(home.principal("night-shift") / "client.toml")

    certificate = x509.load_pem_x509_certificate(home.peer_certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [client.server_name]


def test_several_principals_stand_beside_each_other(founded: Founding) -> None:
    home = Home(path=founded.folder / TOWN)

    done(*_principal(home, "records", "system", "physician"))
    done(*_principal(home, "dr-chen", "person", "physician", "auditor"))
    done(*_principal(home, "night-shift", "operator"))

    names = [principal.name for principal in load_config(home.config).principals]
    assert names == ["records", "dr-chen", "night-shift"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("records", "system"), "a system needs a role"),
        (("night-shift", "operator", "auditor"), "an operator acts for no patient"),
        (("Dr. Chen", "person", "physician"), "principal: expected 1 to 32"),
        (("listed", "person", "physician"), "listed is listed already"),
        (("a", "operator", "--address", "0.0.0.0:7401"), "clients need a host to call"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(
    founded: Founding, arguments: tuple[str, ...], said: str
) -> None:
    home = Home(path=founded.folder / TOWN)
    done(*_principal(home, "listed", "operator"))
    before = home.config.read_bytes()

    ran = caretree(*_principal(home, *arguments))

    check_refused(ran, said)
    assert home.config.read_bytes() == before


def test_a_member_without_a_genesis_issues_nothing_yet(signed: Founding) -> None:
    home = Home(path=signed.folder / TOWN)

    check_refused(caretree(*_principal(home, "night-shift", "operator")), "has no genesis yet")


def test_the_peers_certificate_is_renewed_under_its_key(founded: Founding) -> None:
    home = Home(path=founded.folder / TOWN)
    old = x509.load_pem_x509_certificate(home.peer_certificate.read_bytes())
    key = home.peer_key.read_bytes()

    ran = done("member", "renew", "--directory", home.path, "--json")

    new = x509.load_pem_x509_certificate(home.peer_certificate.read_bytes())
    assert new.serial_number != old.serial_number
    assert new.public_key() == old.public_key()
    assert home.peer_key.read_bytes() == key
    assert datetime.fromisoformat(str(ran.json["expires"])) > datetime.now(UTC)


def test_a_principals_certificate_is_renewed_under_a_new_key(founded: Founding) -> None:
    home = Home(path=founded.folder / TOWN)
    done(*_principal(home, "records", "system", "nurse"))
    key = home.principal("records") / "key.pem"
    before = key.read_bytes()

    done("member", "renew", "--directory", home.path, "--principal", "records", "--new-key")

    assert key.read_bytes() != before
    assert key.stat().st_mode & 0o777 == 0o600


def test_an_unknown_principal_is_not_renewed(founded: Founding) -> None:
    ran = caretree(
        *("member", "renew", "--directory", founded.folder / TOWN, "--principal", "nobody")
    )

    check_refused(ran, "is missing")


def test_an_authoritys_key_that_others_can_read_is_not_used(founded: Founding) -> None:
    home = Home(path=founded.folder / TOWN)
    home.ca_key.chmod(0o644)

    check_refused(caretree("member", "renew", "--directory", home.path), "chmod 600")


def test_a_refusal_is_json_for_a_program(founded: Founding) -> None:
    home = Home(path=founded.folder / TOWN)

    ran = caretree(*_principal(home, "records", "system"), "--json")

    error = json.loads(ran.stderr)["error"]
    assert ran.status == 1
    assert ran.stdout == ""
    assert error["message"] == "a system needs a role"
    assert error["next_step"] == "Give --role for each."


def _principal(home: Home, name: str, kind: str, *more: str) -> tuple[str | Path, ...]:
    roles = () if more[:1] == ("--address",) else more
    options = more if not roles else tuple(part for role in roles for part in ("--role", role))
    return ("member", "principal", name, "--kind", kind, "--directory", home.path, *options)
