"""Configuration files for tests."""

from pathlib import Path

DAEMON = """\
[peer]
member = "town"
data_directory = "data"
keystore = "/etc/caretree/keystore"

[listen]
client = "127.0.0.1:7401"
peer = "[::1]:7402"

[tls]
peer_certificate = "peer.pem"
peer_key = "peer.key"
"""

CLIENT = """\
address = "127.0.0.1:7401"
server_name = "00000000000000aa.town.city.example"
ca_certificate = "ca.pem"
certificate = "certificate.pem"
key = "key.pem"
policy = "../policy"
origin = "city.example/0a1b2c3d"
"""


def write_config(folder: Path, *more: str, text: str = DAEMON) -> Path:
    """The path of a file with this text and what follows it."""
    path = folder / "caretree.toml"
    path.write_text("\n".join((text, *more)), encoding="utf-8")
    return path
