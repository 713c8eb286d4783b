"""TLS as a principal has it, for the client that speaks HTTP/2 by hand."""

import ssl
import tempfile
from pathlib import Path

from tests.certificates import KeyPair


def tls_of(folder: Path) -> ssl.SSLContext:
    """With what stands in a principal's folder."""
    return _tls(folder / "ca.pem", folder / "certificate.pem", folder / "key.pem")


def tls_with(pair: KeyPair, *, authority: bytes) -> ssl.SSLContext:
    """With this certificate, trusting this authority."""
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name, part) for part in ("ca", "certificate", "key")]
        for path, content in zip(paths, (authority, pair.certificate, pair.key), strict=True):
            path.write_bytes(content)
        return _tls(*paths)


def _tls(authority: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority))
    context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2"])
    return context
