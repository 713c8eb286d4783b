"""Entries, blocks, apply, receipts, queries, audit and access rules. PURE over storage ports."""
