"""Sealing, signatures, key custody. PURE but for custody.py, which alone draws randomness.

Imports model. Nearly every byte made here is stored, hashed or signed for ever: each module begins
with the layout it makes, and the tests hold known answers. Start with framing (how parts are
joined, all labels), then sealing (a record), keyring (a patient's keys) and custody (keys sealed to
members).
"""
