"""What holds for every test of the client port."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def logged() -> Iterator[list["structlog.typing.EventDict"]]:
    """The log of the test, kept from the terminal."""
    with structlog.testing.capture_logs() as events:
        yield events
