"""Generated from proto/caretree/ledger: what is stored, hashed and signed."""
