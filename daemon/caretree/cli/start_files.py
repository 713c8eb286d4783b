"""What a start reads beside the configuration: genesis, keystore, certificate; and its ports.

Each is refused by the path of the file or the key of the configuration that is wrong, with what to
do about it, before anything is served or written.
"""

import errno
import socket
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from caretree.cli.errors import CommandError
from caretree.cli.home import Home, peer_keys_of
from caretree.config.parse import keystore_key_path
from caretree.config.section import split_address
from caretree.config.values import Config, Listen, TlsFiles
from caretree.crypto.keystore import Keystore, decode_keystore
from caretree.crypto.locked import RawKey
from caretree.ledger.genesis import Genesis
from caretree.model.errors import CaretreeError, RejectedError
from caretree.model.ids import MemberId, PeerId
from caretree.model.reasons import CallError
from caretree.node.identity import PeerIdentity, identity_of
from caretree.storage.files import read_file, read_secret_file

_FETCH_GENESIS: Final = "Take genesis and genesis-hash from another member: they are no secret."
_RENEW: Final = "Make a new one with `caretree member renew`, and put certificate and key in place."


class AddressError(CaretreeError):
    """An address of the configuration cannot be listened on. Carries its key."""

    def __init__(self, key: str, address: str, error: OSError) -> None:
        self.key = key
        reason = error.strerror or type(error).__name__
        super().__init__(f"{key}: cannot listen on {address}: {reason}")


def read_genesis(directory: Path) -> Genesis:
    """The genesis beside the configuration, believed by the hash of its import.

    Raises:
        CommandError: one of its two files is missing, or was changed.
        StorageError: the disk refused.
    """
    home = Home(path=directory)
    for file in (home.genesis, home.genesis_hash):
        if not file.exists():
            raise CommandError(
                f"{file} is missing",
                next_step=f"{_FETCH_GENESIS} If this member is new, run `caretree member import`.",
            )
    try:
        return home.read_genesis()
    except RejectedError as error:
        raise CommandError(
            f"{home.genesis}, or {home.genesis_hash.name} beside it, was changed: {error}",
            next_step=_FETCH_GENESIS,
        ) from error


def read_keystore(path: Path, config: Config, *, credentials: str | None) -> Keystore:
    """The keystore that the configuration at `path` names.

    `credentials` is the daemon's $CREDENTIALS_DIRECTORY.

    Raises:
        ConfigError: no key is named and none handed in.
        CommandError: keystore or key is missing, damaged, or not the other's.
        SecretFileError: others may read one of them.
        StorageError: the disk refused.
    """
    key_path = keystore_key_path(config, path=path, credentials=credentials)
    # systemd opens a credential to the service's user alone, by an access list where the file
    # system has them: that shows as rights of the group.
    handed_in = config.peer.keystore_key is None
    key = read_file(key_path) if handed_in else read_secret_file(key_path)
    encoded = read_secret_file(config.peer.keystore)
    if key is None or encoded is None:
        missing = key_path if key is None else config.peer.keystore
        raise CommandError(
            f"{missing} is missing", next_step="Put it back, or restore the member from its kit."
        )
    try:
        return decode_keystore(encoded, key=RawKey(key=key))
    except RejectedError as error:
        raise CommandError(
            f"{config.peer.keystore} does not open with {key_path}: {error}",
            next_step="Put both back as they were.",
        ) from error


def check_belongs(config: Config, keystore: Keystore, genesis: Genesis) -> PeerId:
    """The peer that the keystore's keys make, which the genesis names.

    Raises:
        CommandError: keystore, configuration and genesis are not of one peer.
    """
    file = config.peer.keystore
    if (keystore.consortium, keystore.member) != (genesis.consortium, config.peer.member):
        raise CommandError(
            f"{file}: the keystore belongs to another member or consortium",
            next_step="Name the keystore that `caretree member init` made for this member.",
        )
    peer = peer_keys_of(keystore).peer_id()
    named = genesis.peer(peer)
    if named is None or named.member != config.peer.member:
        raise CommandError(
            f"{file}: the genesis of {genesis.origin} does not name the peer of this keystore",
            next_step="Put the genesis back that was founded with it, or the keystore.",
        )
    return peer


def pseudonym_key(keystore: Keystore, genesis: Genesis) -> bytes:
    """The consortium's pseudonym key.

    Raises:
        CommandError: the keystore lacks it.
    """
    for held in keystore.pseudonym_keys:
        if held.epoch == genesis.pseudonym_epoch:
            return held.key
    raise CommandError(
        "the keystore lacks the consortium's pseudonym key",
        next_step="Run `caretree member import` again: it takes the key out of the genesis.",
    )


def check_certificate(
    tls: TlsFiles, genesis: Genesis, *, member: MemberId, peer: PeerId, now: datetime
) -> bool:
    """Whether the peer's certificate is in force now; one that ended can be renewed meanwhile.

    Raises:
        CommandError: certificate or key is missing, damaged, or not this peer's.
        SecretFileError: others may read the key.
        StorageError: the disk refused.
    """
    key_pem, pem = read_secret_file(tls.peer_key), read_file(tls.peer_certificate)
    if pem is None:
        raise _refused("tls.peer_certificate", tls.peer_certificate, "it is missing")
    if key_pem is None:
        raise _refused("tls.peer_key", tls.peer_key, "it is missing")
    certificate, key = _parse_certificate(tls, pem), _parse_key(tls, key_pem)
    if key.public_key() != certificate.public_key():
        found = f"it is not the key of the certificate {tls.peer_certificate}"
        raise _refused("tls.peer_key", tls.peer_key, found)
    try:
        fits = identity_of(certificate, genesis) == PeerIdentity(member=member, peer=peer)
    except (CallError, UnsupportedAlgorithm):
        fits = False
    if not fits:
        found = "it is damaged, or the certificate of another than this peer"
        raise _refused("tls.peer_certificate", tls.peer_certificate, found)
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _parse_certificate(tls: TlsFiles, pem: bytes) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        certificate.public_key()
    except (x509.InvalidVersion, ValueError, UnsupportedAlgorithm) as error:
        found = "it holds no certificate, or a damaged one"
        raise _refused("tls.peer_certificate", tls.peer_certificate, found) from error
    return certificate


def _parse_key(tls: TlsFiles, pem: bytes) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        found = "it holds no private key, or a damaged one"
        raise _refused("tls.peer_key", tls.peer_key, found) from error


def check_addresses(listen: Listen) -> None:
    """Return when every address can be listened on now.

    gRPC tells no reason why it cannot listen, and tells it only once the peer is half awake.

    Raises:
        AddressError: naming the key of the first that cannot.
    """
    addresses = {"client": listen.client, "peer": listen.peer, "http": listen.http}
    for name, address in addresses.items():
        if address is not None:
            _check_address(f"listen.{name}", address)


def _check_address(key: str, address: str) -> None:
    host, port = split_address(address)
    failed: list[OSError] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise AddressError(key, address, error) from error
    for family, kind, protocol, _, place in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                # As the servers do: a connection that has just ended is no hindrance.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
        except OSError as error:
            failed.append(error)
    decisive = _decisive(failed, tried=len(found))
    if decisive is not None:
        raise AddressError(key, address, decisive) from decisive


def _decisive(failed: Iterable[OSError], *, tried: int) -> OSError | None:
    """The failure that counts: any port in use, else one where no place could be had at all."""
    failures = list(failed)
    taken = [error for error in failures if error.errno == errno.EADDRINUSE]
    if taken or len(failures) == tried:
        return next(iter((*taken, *failures)), None)
    return None


def _refused(key: str, path: Path, found: str) -> CommandError:
    return CommandError(f"{key}: {path}: {found}", next_step=_RENEW)
