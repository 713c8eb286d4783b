"""Metrics (injected), JSON logs with redaction, health. Imports ledger and below."""
