"""Generated from proto/caretree/peer: the conversation between peers."""
