"""Sealing, signatures, key custody. PURE but for custody.py, which alone draws randomness. Imports model."""
