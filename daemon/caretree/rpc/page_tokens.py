"""Page tokens: where the next page begins, bound to the request that asked for the one before.

    token = base64url(HMAC-SHA256(key, length-prefixed cursor and request)[:16] || cursor)

The key is drawn anew at each start of the daemon, so a token does not outlive it: the caller is
told to begin again, and pages read so far were read under their own reading entries.
"""

import base64
import hmac
from collections.abc import Sequence
from typing import Final

from caretree.crypto.framing import length_prefixed, u64
from caretree.crypto.pseudonym import PatientIdentifier
from caretree.ledger.values import FIRST_PAGE_BEFORE, Actor
from caretree.model.reasons import CallError, Reason

PAGE_TOKEN_LENGTH_MAX: Final = 256
_MAC_BYTES: Final = 16


class Pages:
    """The pages of one request: tokens given out for it are taken back for it alone."""

    def __init__(self, key: bytes, request: Sequence[str]) -> None:
        self._key = key
        self._request = tuple(request)

    def before(self, token: str) -> int:
        """The leaf index that the page ends below.

        Raises:
            CallError: BAD_PAGE_TOKEN.
        """
        cursor = self.after(token)
        return FIRST_PAGE_BEFORE if cursor is None else int.from_bytes(cursor, "big")

    def token_before(self, before: int | None) -> str:
        """The token of the page that ends below this leaf index; empty when there is none."""
        return self.token_after(None if before is None else u64(before))

    def after(self, token: str) -> bytes | None:
        """The cursor that the page begins after; None for the first page.

        Raises:
            CallError: BAD_PAGE_TOKEN: the token was not given out for this request.
        """
        if not token:
            return None
        if len(token) > PAGE_TOKEN_LENGTH_MAX:
            raise CallError(Reason.BAD_PAGE_TOKEN)
        try:
            decoded = base64.b64decode(token, altchars=b"-_", validate=True)
        except ValueError:
            raise CallError(Reason.BAD_PAGE_TOKEN) from None
        mac, cursor = decoded[:_MAC_BYTES], decoded[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(cursor)):
            raise CallError(Reason.BAD_PAGE_TOKEN)
        return cursor

    def token_after(self, after: bytes | None) -> str:
        """The token of the page that begins after this cursor; empty when there is none."""
        if after is None:
            return ""
        return base64.urlsafe_b64encode(self._mac(after) + after).decode("ascii")

    def _mac(self, cursor: bytes) -> bytes:
        framed = length_prefixed(cursor, *(part.encode() for part in self._request))
        return hmac.digest(self._key, framed, "sha256")[:_MAC_BYTES]


class PageTokens:
    """Makes the pages of each request, under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, what: str, actor: Actor, patient: PatientIdentifier | None, *more: str) -> Pages:
        """The pages of what an actor asked for. How many items a page holds may change."""
        who = (actor.principal, actor.person, actor.role.name)
        whose = () if patient is None else (patient.system, patient.value)
        return Pages(self._key, (what, *who, *whose, *more))
