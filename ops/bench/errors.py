"""Why the bench ends before its time."""


class BenchFailedError(Exception):
    """Something was not measured, and no figure may stand in its place. Says what, for a person."""
