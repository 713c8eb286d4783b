"""10,000 changed receipts are refused, each by the verifier and by the command, with one line.

What the formats say means nothing is no change: those files are listed, and say the same.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

import pytest
from caretree.cli.errors import CommandError
from caretree.cli.verifying import verify as verify_command
from caretree.ledger.certificate import policy_text
from caretree.model.errors import MalformedError, VerificationError

from tests.cli.commands import Ran, caretree, check_refused
from tests.fuzz import receipt_mutations as mutations
from tests.fuzz.receipt_mutations import Mutation
from tests.ledger.builders import founders
from tests.ledger.receipts import verified

SEED: Final = 20_260_101
MUTATORS: Final[dict[str, Callable[[Random], Iterator[Mutation]]]] = {
    "truncated": mutations.truncated,
    "flipped": mutations.flipped,
    "flipped inside": mutations.flipped_inside,
    "lines moved": mutations.moved_lines,
    "signatures doubled": mutations.doubled_signatures,
    "proofs changed": mutations.changed_proofs,
    "merged": mutations.merged,
    "extras changed": mutations.changed_extras,
    "blanks": mutations.blanks,
    "look-alikes": mutations.lookalikes,
}
EACH: Final = 1000  # 10,000 in all
BY_COMMAND_LINE: Final = 5  # of each, through the whole command line


def changed_files(name: str) -> Iterator[Mutation]:
    """So many files by one mutator, no two the same and none of them a receipt."""
    seen = {*mutations.receipts(), *mutations.later_receipts()}
    random = Random(f"{SEED}/{name}")
    for mutation in MUTATORS[name](random):
        if mutation.file not in seen:
            seen.add(mutation.file)
            yield mutation


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """The policy of the founders."""
    path = tmp_path / "policy"
    path.write_text(policy_text(founders().genesis))
    return path


def test_there_are_ten_thousand() -> None:
    assert len(MUTATORS) * EACH == 10_000


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATORS)
def test_a_changed_receipt_is_refused_by_verifier_and_command(
    name: str, tmp_path: Path, policy: Path
) -> None:
    receipt = tmp_path / "receipt"
    count = 0
    for mutation in islice(changed_files(name), EACH):
        receipt.write_bytes(mutation.file)
        with pytest.raises((MalformedError, VerificationError)):
            pytest.fail(f"{mutation.name} verifies: {verified(mutation.file)}", pytrace=False)
        with pytest.raises(CommandError, match=r"^REFUSED "):
            verify_command(receipt=receipt, policy=policy)
        count += 1

    assert count == EACH


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATORS)
def test_the_command_line_says_so_in_one_line(name: str, tmp_path: Path, policy: Path) -> None:
    receipt = tmp_path / "receipt"
    for mutation in islice(changed_files(name), BY_COMMAND_LINE):
        receipt.write_bytes(mutation.file)

        check_refused(caretree("verify", receipt, "--policy", policy), "REFUSED")


@pytest.mark.slow
def test_a_process_of_its_own_says_so_in_one_line_too(tmp_path: Path, policy: Path) -> None:
    receipt = tmp_path / "receipt"
    for name in ("truncated", "flipped inside"):
        receipt.write_bytes(next(changed_files(name)).file)
        start = "from caretree.cli.main import main; main()"
        command = [sys.executable, "-c", start, "verify", str(receipt), "--policy", str(policy)]

        ran = subprocess.run(command, capture_output=True, text=True, check=False)

        told = Ran(status=ran.returncode, stdout=ran.stdout, stderr=ran.stderr)
        check_refused(told, "REFUSED")


def test_what_means_nothing_changes_nothing(tmp_path: Path, policy: Path) -> None:
    receipt = tmp_path / "receipt"
    for file, mutation in mutations.same_statements():
        assert mutation.file != file, mutation.name
        assert verified(mutation.file) == verified(file), mutation.name
        receipt.write_bytes(mutation.file)
        verify_command(receipt=receipt, policy=policy)


def test_another_cosigner_is_added_and_an_erased_body_left_out_and_nothing_else() -> None:
    for file, mutation, cosigner in mutations.truer_statements():
        before, after = verified(file), verified(mutation.file)
        if cosigner is None:
            assert after == replace(before, kind=None, author=None, body=None)
        else:
            (added,) = set(after.cosigners) - set(before.cosigners)
            assert f"/{cosigner}/" in added.name
            assert after == replace(before, cosigners=after.cosigners)
