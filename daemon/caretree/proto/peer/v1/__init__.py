"""Generated from proto/caretree/peer/v1."""
