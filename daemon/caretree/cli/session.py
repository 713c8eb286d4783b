"""A connection to the member's own peer for the time of one command."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from caretree.cli.files import read_named
from caretree.client.client import CaretreeClient
from caretree.client.settings import ClientSettings
from caretree.config.client import load_client_config
from caretree.storage.files import read_secret_file

T = TypeVar("T")


def read_settings(file: Path) -> ClientSettings:
    """How the client file says the peer is reached, and by what its answers are checked.

    Raises:
        ConfigError: the file is refused.
        CommandError: a file that it names cannot be read.
        SecretFileError: others may read the key.
    """
    config = load_client_config(file)
    key = read_secret_file(config.key)
    return ClientSettings(
        address=config.address,
        server_name=config.server_name,
        ca_certificate=read_named(config.ca_certificate),
        certificate=read_named(config.certificate),
        key=read_named(config.key) if key is None else key,  # says that it is missing
        policy_text=read_named(config.policy).decode(errors="replace"),
        origin=config.origin,
    )


def call(file: Path, ask: Callable[[CaretreeClient], Awaitable[T]]) -> T:
    """What the peer answers to `ask`, over a connection made for it alone.

    Raises:
        CallFailedError: the peer refuses or cannot.
        ReceiptError, VerificationError: it answers with a proof that does not hold.
    """
    settings = read_settings(file)

    async def asked() -> T:
        async with CaretreeClient.connect(settings) as client:
            return await ask(client)

    return asyncio.run(asked())
