"""Caretree: one tamper-evident, encrypted history of every patient, kept together by a consortium's peers."""
