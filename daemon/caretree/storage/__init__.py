"""Ports, key layout, the LevelDB door, keystore and watermark files, and the in-memory fake. Imports the cores and model."""
