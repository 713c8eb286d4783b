"""What a daemon says about itself: metrics (injected), JSON logs with redaction, health.

Start in `metrics`, `logs` and `health`; `systemd` tells the service manager. Imports ledger and
below. Nothing here reads a clock for a measurement: durations and times arrive as arguments.
"""
