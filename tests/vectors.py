"""`make vectors`: runs the tests on the vectors of others, then says what became of each file."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests import vector_reads
from tests.shared import PROJECT_ROOT, SHARED_ROOT
from tests.vector_table import Outcome, Row, load_claims, problems, table, unread, vector_files


def main() -> int:
    """0 when the tests pass, every file is spoken of, and every file said to pass was read."""
    root = SHARED_ROOT / "vectors"
    if not root.is_dir():
        print("../shared/vectors is not beside the project: there is nothing to run")
        return 1
    status, opened = _run_tests()
    files, claims = vector_files(root), load_claims()
    _print_table(table(files, claims))
    complaints = problems(files, claims)
    complaints += [
        f"{name}: said to pass, but no test marked `vectors` opened it"
        for name in unread(files, claims, opened)
    ]
    for complaint in complaints:
        print(complaint)
    return 1 if complaints or status != 0 else 0


def _run_tests() -> tuple[int, frozenset[str]]:
    """The exit status of the tests marked `vectors`, and the vector files that they opened."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-m", "vectors"]
        environment = {**os.environ, vector_reads.FOLDER_VARIABLE: folder}
        done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, check=False)
        return done.returncode, vector_reads.read_records(Path(folder))


def _print_table(rows: Sequence[Row]) -> None:
    width = max(len(row.group) for row in rows)
    print(f"\n{'vectors':{width}}  files  passed  later  refused")
    for row in rows:
        print(f"{row.group:{width}}  {_numbers([row])}")
        for reason in row.reasons:
            print(f"{'':{width}}    {reason}")
    print(f"{'all':{width}}  {_numbers(rows)}")


def _numbers(rows: Sequence[Row]) -> str:
    sums = {outcome: sum(row.counts.get(outcome, 0) for row in rows) for outcome in Outcome}
    passed, later, refused = (
        sums[outcome] for outcome in (Outcome.PASSED, Outcome.LATER, Outcome.REFUSED)
    )
    return f"{passed + later + refused:5}  {passed:6}  {later:5}  {refused:7}"


if __name__ == "__main__":
    sys.exit(main())
