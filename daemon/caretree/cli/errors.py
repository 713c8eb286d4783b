"""What a command says when it cannot do as asked."""

from caretree.model.errors import RejectedError


class CommandError(RejectedError):
    """A command fails. Carries what failed, in one line, and what to do next."""

    def __init__(self, message: str, *, next_step: str) -> None:
        super().__init__(message)
        self.next_step = next_step
