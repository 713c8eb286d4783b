"""Every target there is, and the public parsers that are no target, each with the reason."""

from typing import Final

from tests.fuzz.target import Target
from tests.fuzz.targets import (
    api,
    console,
    crypto,
    files,
    founding,
    intake,
    ledger,
    merkle,
    node,
    rows,
)

ROOMS: Final = (api, console, crypto, files, founding, intake, ledger, merkle, node, rows)
TARGETS: Final[tuple[Target, ...]] = tuple(target for room in ROOMS for target in room.TARGETS)

# By module and name. What stands here parses nothing that a target does not reach.
EXCLUDED: Final = {
    "caretree.cli.files.read_named": "reads a file of a bounded size and looks at no byte of it",
    "caretree.storage.files.read_secret_file": "read_file, behind a look at the file's mode",
    "caretree.ledger.row_keys.read_height": "8 bytes of a key that this peer's own code cut",
    "caretree.ledger.row_keys.read_leaf_index": "8 bytes of a key that this peer's own code cut",
    "caretree.ledger.row_keys.read_place": "4 bytes of a key that this peer's own code cut",
    "caretree.ledger.overlay.Overlay.read_ahead": "rows by their keys, not what they hold",
    "caretree.ledger.rows.read_member": "what the targets row-of-custodian and others end with",
    "caretree.merkle.text.decode_hash_lines": "the lines of tlog-proof and receipt",
    "caretree.raft.rawnode.RawNode.read_index": "the wish for a linearizable read, no parser",
    "caretree.ledger.rows.parse_row": "what every target named row-of- calls first",
    "caretree.ledger.wire.parse_strict": "what every parser of a stored message calls first",
    "caretree.cli.session.read_settings": "load_client_config, and the files that it names whole",
    "caretree.cli.start_files.read_genesis": "check_founded, and files read whole",
    "caretree.cli.start_files.read_keystore": "decode_keystore, and files read whole",
}


def find_target(name: str) -> Target:
    """The target of this name.

    Raises:
        KeyError: there is none.
    """
    return {target.name: target for target in TARGETS}[name]
