"""Page tokens: where the next page begins, bound to the request that asked for the one before.

    token = base64url(HMAC-SHA256(key, length-prefixed cursor and request)[:16] || cursor)

The key is drawn anew at each start of the daemon, so a token does not outlive it: the caller is
told to begin again, and pages read so far were read under their own reading entries.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from typing import Final

from caretree.crypto.framing import length_prefixed
from caretree.model.reasons import CallError, Reason

PAGE_TOKEN_LENGTH_MAX: Final = 256
_MAC_BYTES: Final = 16


class PageTokens:
    """Gives out page tokens and takes them back."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, cursor: bytes | None, request: Sequence[str]) -> str:
        """The token of the page that begins at `cursor`; empty when there is no further page."""
        if cursor is None:
            return ""
        return base64.urlsafe_b64encode(self._mac(cursor, request) + cursor).decode("ascii")

    def redeem(self, token: str, request: Sequence[str]) -> bytes | None:
        """The cursor of a token; None for the first page, which has none.

        Raises:
            CallError: BAD_PAGE_TOKEN: it was not given out for this request.
        """
        if not token:
            return None
        if len(token) > PAGE_TOKEN_LENGTH_MAX:
            raise CallError(Reason.BAD_PAGE_TOKEN)
        try:
            decoded = base64.b64decode(token, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise CallError(Reason.BAD_PAGE_TOKEN) from None
        mac, cursor = decoded[:_MAC_BYTES], decoded[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(cursor, request)):
            raise CallError(Reason.BAD_PAGE_TOKEN)
        return cursor

    def _mac(self, cursor: bytes, request: Sequence[str]) -> bytes:
        framed = length_prefixed(cursor, *(part.encode() for part in request))
        return hmac.digest(self._key, framed, "sha256")[:_MAC_BYTES]
