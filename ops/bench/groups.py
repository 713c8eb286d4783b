"""The groups of rows, by whose names an order on the command line means them."""

from typing import Final

PUTS, TXNS = "puts", "txns"
UNARY, CLIENT, BATCHES, PLAIN = "unary", "client", "batches", "plain"
MANY, FIRST = "many", "first"
IDLE, DISK, HISTORY, IMPORT = "idle", "disk", "history", "import"
START, PROOFS, VERIFY, MILLION = "start", "proofs", "verify", "million"

ETCD: Final = frozenset((PUTS, TXNS))
LOADS: Final = frozenset((UNARY, CLIENT, BATCHES, PLAIN, MANY, FIRST))
SINGLE: Final = frozenset((IDLE, DISK, HISTORY, IMPORT, START, PROOFS, VERIFY))
ALL: Final = ETCD | LOADS | SINGLE
