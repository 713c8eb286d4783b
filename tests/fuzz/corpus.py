"""Inputs that are kept, as hex so that they are text: `corpus/<target>/<origin>-<hash>.hex`.

seed-    a good input out of this project's own builders
reach-   an input that went where none before it did
found-   an input that once broke the contract: kept for ever
"""

import hashlib
from pathlib import Path
from typing import Final

CORPUS: Final = Path(__file__).parent / "corpus"
SEED, REACH, FOUND = "seed", "reach", "found"
_LINE_CHARACTERS: Final = 96


def kept(target: str, *origins: str, root: Path = CORPUS) -> dict[str, bytes]:
    """The target's kept inputs of these origins, all when none is named, by file name."""
    paths = sorted((root / target).glob("*.hex"))
    return {
        path.name: bytes.fromhex("".join(path.read_text(encoding="ascii").split()))
        for path in paths
        if not origins or path.name.partition("-")[0] in origins
    }


def keep(target: str, origin: str, data: bytes, *, root: Path = CORPUS) -> Path:
    """Keep an input; the file it is kept in."""
    folder = root / target
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{origin}-{hashlib.sha256(data).hexdigest()[:12]}.hex"
    digits = data.hex()
    starts = range(0, len(digits), _LINE_CHARACTERS)
    lines = "".join(f"{digits[at : at + _LINE_CHARACTERS]}\n" for at in starts)
    path.write_text(lines, encoding="ascii")
    return path
