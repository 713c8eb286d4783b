"""A file that names certificates which are no longer to be let in -> their fingerprints.

One fingerprint a line: the SHA-256 of the certificate in DER, as 64 hex digits, in pairs with
colons between them if one likes. A name may follow it, and a comment after "#".
"""

import re
from pathlib import Path
from typing import Final

from caretree.config.errors import ConfigError
from caretree.config.text import read_text
from caretree.model.ids import Digest

DENIED_MAX: Final = 10_000

_FINGERPRINT: Final = re.compile(r"[0-9A-Fa-f]{64}|[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){31}")
_EXPECTED: Final = "expected a SHA-256 fingerprint of 64 hex digits, colons allowed"


def read_deny_list(path: Path) -> frozenset[Digest]:
    """The fingerprints in a file.

    Raises:
        ConfigError: the file cannot be read, or a line is none; naming file and line.
    """
    found: set[Digest] = set()
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        words = line.partition("#")[0].split(maxsplit=1)
        if not words:
            continue
        if _FINGERPRINT.fullmatch(words[0]) is None:
            raise ConfigError(path, line=number, key="", expected=_EXPECTED)
        found.add(Digest(bytes.fromhex(words[0].replace(":", ""))))
        if len(found) > DENIED_MAX:
            expected = f"expected at most {DENIED_MAX} fingerprints"
            raise ConfigError(path, line=number, key="", expected=expected)
    return frozenset(found)
