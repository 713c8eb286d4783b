"""Generates ops/docs/errors.md from the table of reasons, or with --check says if it differs."""

import argparse
import sys
from pathlib import Path
from typing import Final

from caretree.model.reasons import ERROR_DOMAIN, Reason

PAGE: Final = Path(__file__).resolve().parent / "docs" / "errors.md"

_HEAD: Final = f"""# Errors

Every call that fails carries `google.rpc.Status` details. One of them is an `ErrorInfo` with domain
`{ERROR_DOMAIN}` and one of the reasons below; its metadata repeats the next step as `next_step`.
`BadRequest` names each field that was wrong, and `RetryInfo` says after how long to try again. In
the answer to a batch of AppendStream each record that was not added has such a status of its own.

Repeat a call only when its code is UNAVAILABLE, or its reason OUTCOME_UNKNOWN, CONTENDED or
OVERLOADED, after the delay and some jitter, and always with the same request id.

This page is generated from `daemon/caretree/model/reasons.py` by `ops/generate_errors_page.py`.

| reason | code | cause | next step |
|---|---|---|---|
"""


def page() -> str:
    """The page's text."""
    rows = (
        f"| {reason.name} | {explanation.code.name} | {explanation.cause} |"
        f" {explanation.next_step} |\n"
        for reason in Reason
        for explanation in (reason.explanation,)
    )
    return _HEAD + "".join(rows)


def main() -> int:
    """0 when the page is in place, 1 when --check finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    print(f"{PAGE.name} is not what the table of reasons gives: run {Path(__file__).name}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
