from pathlib import Path

import pytest
from caretree.cli.errors import CommandError
from caretree.cli.journal import Journal, digest_of, journal_beside
from caretree.crypto.pseudonym import PatientIdentifier
from caretree.intake.split import Document
from caretree.model.ids import RecordId

ORIGIN = "city.example/0a1b2c3d"
PATIENT = PatientIdentifier(system="urn:example:card", value="A-1")


def test_what_was_acknowledged_is_known_again(tmp_path: Path) -> None:
    path, first, second = (
        tmp_path / "j",
        digest_of(PATIENT, _document()),
        digest_of(PATIENT, _document(part=1)),
    )
    with Journal(path, origin=ORIGIN) as journal:
        journal.acknowledge(first, RecordId(bytes(16)))

    with Journal(path, origin=ORIGIN) as journal:
        assert first in journal
        assert second not in journal


def test_a_line_cut_by_a_crash_is_none_and_harms_no_other(tmp_path: Path) -> None:
    path = tmp_path / "j"
    digests = [digest_of(PATIENT, _document(part=part)) for part in range(3)]
    with Journal(path, origin=ORIGIN) as journal:
        for digest in digests[:2]:
            journal.acknowledge(digest, RecordId(bytes(16)))
    whole = path.read_bytes()

    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        if cut in range(1, whole.index(b"\n") + 1):
            continue  # a title cut short is no journal: see below
        with Journal(path, origin=ORIGIN) as journal:
            journal.acknowledge(digests[2], RecordId(bytes(16)))
        with Journal(path, origin=ORIGIN) as journal:
            assert digests[2] in journal
            assert (digests[1] in journal) == (cut == len(whole))


@pytest.mark.parametrize("content", [b"caretree import journal v1 ci", b"something else\n"])
def test_what_is_no_journal_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "j"
    path.write_bytes(content)

    with pytest.raises(CommandError, match="is no import journal"):
        Journal(path, origin=ORIGIN)

    assert path.read_bytes() == content


def test_another_consortiums_journal_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", origin=ORIGIN):
        pass

    with pytest.raises(CommandError, match="is no import journal of other"):
        Journal(tmp_path / "j", origin="other/0a1b2c3d")


def test_it_is_its_owners_alone_and_names_no_patient_and_no_source(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path, origin=ORIGIN) as journal:
        journal.acknowledge(digest_of(PATIENT, _document()), RecordId(b"\x01" * 16))

    text = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert "A-1" not in text
    assert "visit-7" not in text
    assert "card" not in text


def test_whatever_names_a_document_is_in_its_digest() -> None:
    other_patient = PatientIdentifier(system="urn:example:card", value="A-2")
    digests = {
        digest_of(PATIENT, _document()),
        digest_of(other_patient, _document()),
        digest_of(PATIENT, _document(part=1)),
        digest_of(PATIENT, _document(content=b"{ }")),
        digest_of(PATIENT, _document(source_id="visit-8")),
    }

    assert len(digests) == 5


def test_a_journal_stands_beside_what_is_imported(tmp_path: Path) -> None:
    assert journal_beside(tmp_path / "bundles") == tmp_path / "bundles.caretree-journal"


def test_a_journal_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be used"):
        Journal(tmp_path / "no-folder" / "j", origin=ORIGIN)


def _document(*, part: int = 0, content: bytes = b"{}", source_id: str = "visit-7") -> Document:
    return Document(
        source_system="urn:example:visits",
        source_id=source_id,
        part=part,
        parts=2,
        content=content,
        media_type="application/fhir+json",
        resource_count=1,
    )
