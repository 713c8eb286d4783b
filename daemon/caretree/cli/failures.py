"""Why a call to a peer failed, and what to do about it, from the one table of reasons."""

import re
from typing import Final

from caretree.client.errors import CallFailedError

# Which place of a batch the client gave a record is of no use to a person.
_IN_BATCH: Final = re.compile(r"^records\[\d+\]\.")


def reason_of(error: CallFailedError) -> str:
    """The reason's name, or the status code where the peer gave none."""
    return error.code if error.reason is None else error.reason.name


def why(error: CallFailedError) -> str:
    """What failed: the fields that the peer names, which bear no values, or else its message."""
    named = [
        f"{_IN_BATCH.sub('', violation.field)}: {violation.description}"
        for violation in error.violations
    ]
    return "; ".join(named) or error.message


def advice(error: CallFailedError) -> str:
    """What the table advises, and how long the peer asks to wait."""
    if error.reason is None:
        return "Check that the peer runs, and --client."
    waiting = ""
    if error.retry_after_ms is not None:
        waiting = f" The peer asks to wait {error.retry_after_ms / 1000:g} s."
    return error.reason.explanation.next_step + waiting
