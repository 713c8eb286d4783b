"""A member's directory: what `member init` makes and the later commands add to.

    caretree.toml            the daemon's configuration
    keystore, keystore.key   all secrets of the member and its peer, and what opens them
    ca.pem, ca.key           the certificate authority
    peer.pem, peer.key       the daemon's certificate
    invitation, join-request, recovery-kit
    genesis, genesis-hash, policy, data/          once the genesis is imported
    principals/NAME/         what one client needs

Files that hold secrets are their owner's alone. `genesis-hash` is the hash that the operator gave
at the import: the genesis is believed by it, also later.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509

from caretree.cli.certificates import Authority, load_authority
from caretree.cli.errors import CommandError
from caretree.crypto.custody import SystemRandom
from caretree.crypto.keystore import Keystore, PeerKeys, decode_keystore, encode_keystore
from caretree.crypto.locked import RawKey
from caretree.crypto.suite import KEY_BYTES
from caretree.ledger.ceremony import check_founded
from caretree.ledger.genesis import Genesis
from caretree.model.ids import Digest
from caretree.storage.files import (
    read_file,
    read_secret_file,
    write_file,
    write_secret_file,
)

DIRECTORY_MODE: Final = 0o700
OPEN_MODE: Final = 0o644  # of what others may read; the directory keeps them out all the same
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_BETWEEN_GROUPS: Final = re.compile(r"[\s:_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A member's directory, by its path."""

    path: Path

    @property
    def config(self) -> Path:
        """The daemon's configuration."""
        return self.path / "caretree.toml"

    @property
    def keystore(self) -> Path:
        """All secrets of the member and its peer, locked."""
        return self.path / "keystore"

    @property
    def keystore_key(self) -> Path:
        """What opens the keystore: 32 bytes."""
        return self.path / "keystore.key"

    @property
    def ca_certificate(self) -> Path:
        """The certificate authority's certificate."""
        return self.path / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """The certificate authority's key."""
        return self.path / "ca.key"

    @property
    def peer_certificate(self) -> Path:
        """The daemon's certificate."""
        return self.path / "peer.pem"

    @property
    def peer_key(self) -> Path:
        """The key of the daemon's certificate."""
        return self.path / "peer.key"

    @property
    def invitation(self) -> Path:
        """The invitation that this member answered."""
        return self.path / "invitation"

    @property
    def join_request(self) -> Path:
        """What this member asked for."""
        return self.path / "join-request"

    @property
    def recovery_kit(self) -> Path:
        """The kit, which opens with the code alone."""
        return self.path / "recovery-kit"

    @property
    def genesis(self) -> Path:
        """The founded genesis, once imported."""
        return self.path / "genesis"

    @property
    def genesis_hash(self) -> Path:
        """The hash by which it was imported."""
        return self.path / "genesis-hash"

    @property
    def policy(self) -> Path:
        """Whose signatures a receipt needs: a tlog-policy."""
        return self.path / "policy"

    def principal(self, name: str) -> Path:
        """The folder of a principal's client."""
        return self.path / "principals" / name

    def make(self) -> None:
        """Make the directory, for its owner alone.

        Raises:
            CommandError: there is something in it.
        """
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise CommandError(
                f"{self.path} exists and is not empty", next_step="Name a new directory."
            )
        make_directory(self.path)

    def write_keystore(self, keystore: Keystore) -> None:
        """Put the keystore, and a key of its own that opens it, in their files.

        Raises:
            StorageError: the disk refused.
        """
        random = SystemRandom()
        key = read_secret_file(self.keystore_key)
        if key is None:
            key = random.random_bytes(KEY_BYTES)
            write_secret_file(self.keystore_key, key)
        encoded = encode_keystore(keystore, key=RawKey(key=key), random=random)
        write_secret_file(self.keystore, encoded)

    def read_keystore(self) -> Keystore:
        """The keystore.

        Raises:
            CommandError: there is none.
            MalformedError, OpeningError: it is damaged, or another key's.
            SecretFileError: others may read it.
            StorageError: the disk refused.
        """
        key = _required(read_secret_file(self.keystore_key), self.keystore_key)
        encoded = _required(read_secret_file(self.keystore), self.keystore)
        return decode_keystore(encoded, key=RawKey(key=key))

    def read_authority(self) -> Authority:
        """The certificate authority.

        Raises:
            CommandError: it is not here, or key and certificate do not belong together.
            SecretFileError: others may read the key.
            StorageError: the disk refused.
        """
        pem = _required(read_file(self.ca_certificate), self.ca_certificate)
        key_pem = _required(read_secret_file(self.ca_key), self.ca_key)
        try:
            certificate = x509.load_pem_x509_certificate(pem)
        except (x509.InvalidVersion, ValueError) as error:
            raise CommandError(
                f"{self.ca_certificate} is no certificate", next_step="Restore it from a backup."
            ) from error
        return load_authority(certificate=certificate, key_pem=key_pem)

    def write_founded(self, founded: bytes, expected_hash: Digest) -> None:
        """Put the founded genesis and the hash it is known by in their files.

        Raises:
            StorageError: the disk refused.
        """
        write_file(self.genesis_hash, expected_hash.hex().encode() + b"\n", mode=OPEN_MODE)
        write_file(self.genesis, founded, mode=OPEN_MODE)

    def read_genesis(self) -> Genesis:
        """The genesis, signed by every founder and of the hash that was given at its import.

        Raises:
            CommandError: none was imported.
            MalformedError, CeremonyError: it was changed since.
            StorageError: the disk refused.
        """
        founded, digits = read_file(self.genesis), read_file(self.genesis_hash)
        if founded is None or digits is None:
            raise CommandError(
                f"{self.path} has no genesis yet", next_step="Run `caretree member import` first."
            )
        return check_founded(founded, expected_hash=read_hash(digits.decode(errors="replace")))


def make_directory(path: Path) -> None:
    """Make a directory for its owner alone; one that is there is closed to others.

    Raises:
        CommandError: it cannot be made.
    """
    try:
        path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        path.chmod(DIRECTORY_MODE)
    except OSError as error:
        raise CommandError(
            f"{path} cannot be made: {error.strerror}", next_step="Name another directory."
        ) from error


def read_hash(text: str) -> Digest:
    """The hash that a person gave: 64 hex digits, in groups or not.

    Raises:
        CommandError: it is none.
    """
    digits = _BETWEEN_GROUPS.sub("", text).lower()
    if _HASH.fullmatch(digits) is None:
        raise CommandError(
            f"expected a hash of 64 hex digits, found {len(digits)} characters",
            next_step="Copy it whole from the member that founded the consortium.",
        )
    return Digest(bytes.fromhex(digits))


def peer_keys_of(keystore: Keystore) -> PeerKeys:
    """The keystore's peer keys.

    Raises:
        CommandError: it has none.
    """
    if keystore.peer_keys is None:
        raise CommandError(
            "this directory was restored from a recovery kit and holds no peer's keys",
            next_step="It opens old records; a peer needs the directory that `member init` made.",
        )
    return keystore.peer_keys


def _required(content: bytes | None, path: Path) -> bytes:
    if content is None:
        raise CommandError(
            f"{path} is missing", next_step="Name the directory that `caretree member init` made."
        )
    return content
