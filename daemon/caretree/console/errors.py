"""Why the HTTP port cannot be opened."""

from caretree.model.errors import RejectedError


class ListenError(RejectedError):
    """An address cannot be listened on. Carries it."""

    def __init__(self, address: str, *, reason: str) -> None:
        super().__init__(f"listen.http: cannot listen on {address}: {reason}")
        self.address = address
