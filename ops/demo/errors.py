"""Why the walk ends before its time."""


class WalkFailedError(Exception):
    """The walk cannot go on, or what it found does not hold. Says what, for a person."""


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first of the exceptions in a group, out of the groups around it."""
    cause: BaseException = group
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return cause
