"""Generated from proto/caretree/ledger/v1."""
