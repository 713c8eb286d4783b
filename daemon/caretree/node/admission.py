"""Certificates as they are shown on connections: examined once, asked about at every message.

A connection may outlive the certificate it was made with, and a stream may last as long as the
connection; so the dates and the deny list are looked at again whenever something is asked for.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256

from caretree.ledger.genesis import Genesis
from caretree.model.ids import Digest
from caretree.model.reasons import CallError, Reason
from caretree.node.deny_list import DenyList
from caretree.node.identity import Identity, identity_of, shown_certificate

# Who is known by a certificate; a member has at most 1,024 principals.
KNOWN_CERTIFICATES_MAX: Final = 1024

AuthContext = Mapping[str, Iterable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A certificate on a connection, and whom it names."""

    identity: Identity
    fingerprint: Digest
    not_before: datetime
    not_after: datetime


class Admission:
    """Tells whom the certificates shown at one port name, as long as they count."""

    def __init__(
        self, genesis: Genesis, deny_list: DenyList, *, now: Callable[[], datetime]
    ) -> None:
        self._genesis = genesis
        self._deny_list = deny_list
        self._now = now
        self._known: OrderedDict[tuple[bytes, bytes], Shown] = OrderedDict()

    def examine(self, auth: AuthContext) -> Shown:
        """The certificate by gRPC's auth context; its signature is checked once, the rest always.

        Raises:
            CallError: NO_CERTIFICATE, CERTIFICATE_EXPIRED or CERTIFICATE_DENIED.
        """
        pem = next(iter(auth.get("x509_pem_cert", ())), b"")
        key = (next(iter(auth.get("ssl_tls_version", ())), b""), pem)
        known = self._known.get(key)
        if known is None:
            known = self._parse(auth)
            self._known[key] = known
            if len(self._known) > KNOWN_CERTIFICATES_MAX:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        self.check(known)
        return known

    def check(self, shown: Shown) -> None:
        """Return while a certificate that was examined still counts.

        Raises:
            CallError: CERTIFICATE_EXPIRED or CERTIFICATE_DENIED.
        """
        if not shown.not_before <= self._now() <= shown.not_after:
            raise CallError(Reason.CERTIFICATE_EXPIRED)
        if self._deny_list.names(shown.fingerprint):
            raise CallError(Reason.CERTIFICATE_DENIED)

    def _parse(self, auth: AuthContext) -> Shown:
        certificate = shown_certificate(auth)
        return Shown(
            identity=identity_of(certificate, self._genesis),
            fingerprint=Digest(certificate.fingerprint(SHA256())),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
        )
