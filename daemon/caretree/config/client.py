"""The command line's TOML file -> ClientConfig."""

import re
from pathlib import Path
from typing import Final

from caretree.config.text import open_document
from caretree.config.values import ClientConfig

_SERVER_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_ORIGIN: Final = re.compile(r"[a-z0-9.-]{1,64}/[0-9a-f]{8}")


def load_client_config(path: Path) -> ClientConfig:
    """The configuration in a client's file; relative paths count from the file's directory.

    Raises:
        ConfigError: naming the key and its line.
    """
    section = open_document(path)
    config = ClientConfig(
        address=section.address("address"),
        server_name=section.text("server_name"),
        ca_certificate=section.path("ca_certificate"),
        certificate=section.path("certificate"),
        key=section.path("key"),
        policy=section.path("policy"),
        origin=section.text("origin"),
    )
    if _SERVER_NAME.fullmatch(config.server_name) is None:
        section.refuse("server_name", "expected a lower-case host name, as the certificate has it")
    if _ORIGIN.fullmatch(config.origin) is None:
        section.refuse("origin", "expected the consortium's name, / and 8 hex digits")
    section.finish()
    return config
