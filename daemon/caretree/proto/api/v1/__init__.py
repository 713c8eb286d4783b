"""Generated from proto/caretree/api/v1."""
