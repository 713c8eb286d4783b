"""With which status the daemon ends; ops/docs/configuration.md and the unit file say the same."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """What an exit status means to whoever started the daemon."""

    STOPPED = 0  # on request
    FAILED = 1  # an error of its own: starting again may help
    REFUSED = 2  # command line, configuration or a file it names: starting again will not help
    FATAL = 3  # a FatalError: starting again without looking is unsafe
