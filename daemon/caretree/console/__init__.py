"""HTTP: metrics, health, and the log as C2SP tlog-tiles."""
