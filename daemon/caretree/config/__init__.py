"""One TOML file turned into frozen dataclasses. Start in `values`, then `parse`.

Imports ledger (for roles), model, and the standard library's tomllib. Every key stands in
ops/docs/configuration.md; a test compares that page with the dataclasses.
"""
