"""Generated from proto/caretree/api: the conversation with client software."""
