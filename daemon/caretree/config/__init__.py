"""One TOML file turned into frozen dataclasses. Imports model."""
