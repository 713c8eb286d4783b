"""Caretree: one tamper-evident, encrypted history of every patient, kept by a consortium."""
