"""The folder that is taken in: FHIR bundles, by whom their patients are known, what is left out."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from caretree.crypto.resident_number import RESIDENT_NUMBER_SYSTEM
from caretree.intake.bundle import parse_bundle
from caretree.intake.encoding import to_utf8
from caretree.intake.files import (
    BundleFile,
    FileOutcome,
    FileStatus,
    bundle_files,
    file_outcome,
    read_bundle_file,
)
from caretree.intake.patient import read_identifiers, sole_patient
from caretree.intake.split import SplitBundle, split_bundle
from caretree.ledger.genesis import IDENTIFIER_SYSTEMS_MAX
from caretree.model.errors import RejectedError

from ops.demo.errors import WalkFailedError
from ops.demo.residents import DEMO_SEED, bundle_of, residents


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a folder holds: files to take in, records in them, and a reason for each other file."""

    identifier_systems: tuple[str, ...]
    files: tuple[BundleFile, ...]
    record_count: int
    outcomes: tuple[FileOutcome, ...]  # of files that are not taken whole


def write_residents(folder: Path, *, count: int) -> None:
    """Put a bundle of each invented resident into a new folder."""
    folder.mkdir()
    for number, resident in enumerate(residents(seed=DEMO_SEED, count=count), start=1):
        (folder / f"resident-{number:03}.json").write_bytes(bundle_of(resident))


def survey(folder: Path) -> Survey:
    """What the files of a folder hold.

    Raises:
        WalkFailedError: there is nothing to take in.
    """
    found = list(bundle_files(folder)) if folder.exists() else []
    systems = _systems_for([_systems_in(file) for file in found])
    files: list[BundleFile] = []
    outcomes: list[FileOutcome] = []
    record_count = 0
    for file in found:
        outcome, split = _try(file, systems)
        if outcome.status is not FileStatus.TAKEN:
            outcomes.append(outcome)
        if split is not None:
            files.append(file)
            record_count += len(split.documents)
    if not record_count:
        raise WalkFailedError(f"{folder} holds no FHIR R4 bundle of a patient")
    return Survey(
        identifier_systems=systems,
        files=tuple(files),
        record_count=record_count,
        outcomes=tuple(outcomes),
    )


def read_split(file: BundleFile, systems: Sequence[str]) -> SplitBundle:
    """A file's patient and records.

    Raises:
        RejectedError: why it is not taken.
        OSError: the disk says no.
    """
    return split_bundle(read_bundle_file(file), identifier_systems=systems)


def _try(file: BundleFile, systems: Sequence[str]) -> tuple[FileOutcome, SplitBundle | None]:
    try:
        split = read_split(file, systems)
    except RejectedError as error:
        return file_outcome(file.name, error), None
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        return FileOutcome(name=file.name, status=FileStatus.REFUSED, reason=reason), None
    return file_outcome(file.name, split), split


def _systems_in(file: BundleFile) -> tuple[str, ...]:
    """By which systems a file's patient is known; none when it has no patient or is no bundle."""
    try:
        patient = sole_patient(parse_bundle(to_utf8(read_bundle_file(file), encoding=None)))
        known = read_identifiers(patient.meaning, within="Patient")
    except (RejectedError, OSError):
        return ()
    return tuple(dict.fromkeys(identifier.system for identifier in known))


def _systems_for(patients: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """As few systems as it takes to name every patient, those that name most of them first."""
    cover = _cover([systems for systems in patients if systems])
    return tuple(islice(cover, IDENTIFIER_SYSTEMS_MAX)) or (RESIDENT_NUMBER_SYSTEM,)


def _cover(patients: list[Sequence[str]]) -> Iterator[str]:
    while patients:
        counts = Counter(system for systems in patients for system in systems)
        # Of equals the resident number, then the one that stands first in the files.
        best = max(counts, key=lambda system: (counts[system], system == RESIDENT_NUMBER_SYSTEM))
        yield best
        patients = [systems for systems in patients if best not in systems]
