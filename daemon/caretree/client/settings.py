"""Where a client's peer is, who the client is, and whom it trusts."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """A connection's settings; certificates and key are PEM, not paths.

    `server_name` is the name in the peer's certificate, `ca_certificate` the member's authority.
    `policy_text` says whose signatures make a receipt good (`caretree policy` writes it), and
    `origin` names the log that they must be of.
    """

    address: str
    server_name: str
    ca_certificate: bytes
    certificate: bytes
    key: bytes = field(repr=False)
    policy_text: str
    origin: str
