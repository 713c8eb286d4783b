import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from caretree.cli import importing
from caretree.cli.importing import Added, DocumentRefusedError, Import, Progress, Reading, Sink
from caretree.cli.journal import Journal
from caretree.crypto.pseudonym import PatientIdentifier
from caretree.intake.files import BundleFile, FileStatus, bundle_files
from caretree.intake.split import Document
from caretree.model.errors import UnavailableError
from caretree.model.ids import RecordId
from typing_extensions import override

from tests.intake.bundles import SYSTEM, bundle, encounter, observation, patient

ORIGIN = "city.example/0a1b2c3d"


@dataclass(slots=True, kw_only=True)
class FakePeer(Sink):
    """Derives a record's id from its source, as a peer does, and keeps what it acknowledged."""

    records: dict[tuple[str, str, int], bytes] = field(default_factory=dict)
    calls: int = 0
    under_way: int = 0
    most_under_way: int = 0
    fails_at_call: int | None = None
    refuses: Callable[[Document], bool] = lambda _document: False

    @override
    async def add(self, patient: PatientIdentifier, document: Document) -> Added:
        self.calls += 1
        if self.calls == self.fails_at_call:
            raise UnavailableError("no majority can be reached", retry_after_ms=1000)
        if self.refuses(document):
            raise DocumentRefusedError("REQUEST_ID_REUSED: used for other content")
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0.005)
        self.under_way -= 1
        key = (document.source_system, document.source_id, document.part)
        already = key in self.records
        self.records[key] = document.content
        return Added(record_id=RecordId(str(key).encode()[-16:].rjust(16)), already=already)


def test_every_document_of_a_folder_becomes_a_record(tmp_path: Path) -> None:
    folder, peer = _folder(tmp_path, files=3), FakePeer()

    done = _import(folder, peer)

    assert (done.progress.files, done.progress.records, done.progress.added) == (3, 6, 6)
    assert len(peer.records) == 6
    assert {outcome.status for outcome in done.outcomes} == {FileStatus.TAKEN}


def test_a_second_import_adds_nothing_by_the_journal_alone(tmp_path: Path) -> None:
    folder, peer = _folder(tmp_path, files=3), FakePeer()
    _import(folder, peer, journal=tmp_path / "j")
    calls = peer.calls

    again = _import(folder, peer, journal=tmp_path / "j")

    assert (again.progress.added, again.progress.already) == (0, 6)
    assert peer.calls == calls


def test_a_second_import_adds_nothing_without_a_journal_either(tmp_path: Path) -> None:
    folder, peer = _folder(tmp_path, files=3), FakePeer()
    _import(folder, peer)

    again = _import(folder, peer)

    assert (again.progress.added, again.progress.already) == (0, 6)
    assert len(peer.records) == 6


@pytest.mark.parametrize("fails_at_call", range(1, 7))
def test_an_import_stopped_anywhere_goes_on_from_there(tmp_path: Path, fails_at_call: int) -> None:
    folder, peer = _folder(tmp_path, files=3), FakePeer(fails_at_call=fails_at_call)
    with pytest.raises(UnavailableError):
        _import(folder, peer, journal=tmp_path / "j")
    acknowledged = (tmp_path / "j").read_text().count("\n") - 1
    peer.fails_at_call, peer.calls = None, 0

    resumed = _import(folder, peer, journal=tmp_path / "j")

    assert peer.calls == 6 - acknowledged
    assert resumed.progress.added + resumed.progress.already == 6
    assert len(peer.records) == 6


def test_a_changed_document_is_sent_again_although_the_journal_knew_it(tmp_path: Path) -> None:
    folder, peer = _folder(tmp_path, files=1), FakePeer()
    _import(folder, peer, journal=tmp_path / "j")
    path = folder / "0.json"
    path.write_bytes(path.read_bytes().replace(b'"final"', b'"amended"'))
    calls = peer.calls

    _import(folder, peer, journal=tmp_path / "j")

    assert peer.calls > calls


def test_a_dry_run_sends_nothing_and_reports_all_the_same(tmp_path: Path) -> None:
    folder = _folder(tmp_path, files=2)
    (folder / "broken.json").write_bytes(b"{")

    done = _import(folder, None)

    assert done.progress.records == 4
    assert done.progress.added == 0
    assert [outcome.status for outcome in sorted(done.outcomes, key=lambda each: each.name)] == [
        FileStatus.TAKEN,
        FileStatus.TAKEN,
        FileStatus.REFUSED,
    ]


def test_what_is_no_bundle_of_a_patient_is_listed_with_its_reason(tmp_path: Path) -> None:
    folder, peer = _folder(tmp_path, files=1), FakePeer()
    (folder / "places.json").write_bytes(bundle({"resourceType": "Location", "id": "l"}))
    (folder / "gb.json").write_bytes(
        bundle(patient(name=[{"text": "张伟"}])).decode().encode("gb18030")
    )
    large = observation("o", "Encounter/e1", padding=300 * 1024)
    (folder / "large.json").write_bytes(bundle(patient(id="p9"), encounter(1), large))

    outcomes = {outcome.name: outcome for outcome in _import(folder, peer).outcomes}

    assert outcomes["places.json"].status is FileStatus.SKIPPED
    assert outcomes["gb.json"].status is FileStatus.REFUSED
    assert "likely gb18030" in outcomes["gb.json"].reason
    assert outcomes["large.json"].status is FileStatus.PARTLY
    assert "Observation at entry[2]" in outcomes["large.json"].reason
    assert "262144" in outcomes["large.json"].reason


def test_a_named_encoding_is_taken_in(tmp_path: Path) -> None:
    folder, peer = tmp_path / "bundles", FakePeer()
    folder.mkdir()
    text = bundle(patient(name=[{"text": "张伟"}]), encounter(1)).decode()
    (folder / "gb.json").write_bytes(text.encode("gb18030"))

    done = _import(folder, peer, encoding="gb18030")

    assert done.progress.added == 1
    assert "张伟" in next(iter(peer.records.values())).decode()


def test_a_file_that_cannot_be_read_is_listed(tmp_path: Path) -> None:
    folder, peer = _folder(tmp_path, files=1), FakePeer()
    files = list(bundle_files(folder))
    files[0].path.unlink()

    done = _run(_new(peer), files)

    assert done.outcomes[0].status is FileStatus.REFUSED
    assert "cannot be read: No such file" in done.outcomes[0].reason


def test_a_document_that_the_peer_refuses_stands_in_its_files_row(tmp_path: Path) -> None:
    folder = _folder(tmp_path, files=2)
    peer = FakePeer(refuses=lambda document: b'"e1"' in document.content)

    done = _import(folder, peer, journal=tmp_path / "j")

    assert (done.progress.refused, done.progress.added) == (2, 2)
    assert {outcome.status for outcome in done.outcomes} == {FileStatus.PARTLY}
    assert all(
        "1 of 2 records refused: REQUEST_ID_REUSED" in outcome.reason for outcome in done.outcomes
    )
    assert (tmp_path / "j").read_text().count("\n") == 3


def test_a_file_of_which_the_peer_takes_nothing_is_refused(tmp_path: Path) -> None:
    folder, peer = _folder(tmp_path, files=1), FakePeer(refuses=lambda _document: True)

    (outcome,) = _import(folder, peer).outcomes

    assert outcome.status is FileStatus.REFUSED
    # One reason for both records is said once.
    assert outcome.reason.count("REQUEST_ID_REUSED") == 1


def test_so_many_records_are_under_way_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "RECORDS_UNDER_WAY_MAX", 3)
    folder, peer = _folder(tmp_path, files=20), FakePeer()

    _import(folder, peer)

    assert peer.most_under_way == 3


def test_so_many_bytes_are_under_way_and_one_record_always_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BYTES_UNDER_WAY_MAX", 1)
    folder, peer = _folder(tmp_path, files=5), FakePeer()

    _import(folder, peer)

    assert peer.most_under_way == 1
    assert len(peer.records) == 10


def test_progress_is_told_file_by_file(tmp_path: Path) -> None:
    folder, seen = _folder(tmp_path, files=3), list[int]()

    def note(progress: Progress) -> None:
        seen.append(progress.files)

    _run(_new(FakePeer(), on_progress=note), list(bundle_files(folder)))

    assert seen[-1] == 3
    assert seen == sorted(seen)


def _folder(tmp_path: Path, *, files: int) -> Path:
    """Bundles of one patient each, of two Encounters each."""
    folder = tmp_path / "bundles"
    folder.mkdir()
    for number in range(files):
        identifier = [{"system": SYSTEM, "value": f"A-{number}"}]
        (folder / f"{number}.json").write_bytes(
            bundle(
                patient(identifier=identifier),
                encounter(1, identifier=[{"system": SYSTEM, "value": f"{number}/1"}]),
                encounter(2, identifier=[{"system": SYSTEM, "value": f"{number}/2"}]),
                observation("o", "Encounter/e1"),
            )
        )
    return folder


def _import(
    folder: Path, peer: FakePeer | None, *, journal: Path | None = None, encoding: str | None = None
) -> Import:
    files = list(bundle_files(folder))
    if journal is None:
        return _run(_new(peer, encoding=encoding), files)
    with Journal(journal, origin=ORIGIN) as opened:
        return _run(_new(peer, journal=opened, encoding=encoding), files)


def _new(
    peer: FakePeer | None,
    *,
    journal: Journal | None = None,
    encoding: str | None = None,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> Import:
    reading = Reading(identifier_systems=(SYSTEM,), source_system=None, encoding=encoding)
    return Import(reading=reading, sink=peer, journal=journal, on_progress=on_progress)


def _run(whole: Import, files: list[BundleFile]) -> Import:
    asyncio.run(whole.run(files))
    return whole
