"""The single-writer loop, the peer transport, start-up and recovery."""
