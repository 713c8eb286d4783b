"""Ids, values, limits and errors that every room shares. Imports nothing of ours."""
