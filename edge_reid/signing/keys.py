"""Ed25519 keys: the publisher signs with one half, every device pins the other.

PEM files as OpenSSL writes them: PKCS #8 for the private key, SubjectPublicKeyInfo for the public.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from edge_reid.core.errors import UsageError

Purpose = Literal["gallery", "release"]
"""What a key signs. One for each: who may say whom devices know need not say what they run."""

SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What devices pin."""

    raw: bytes
    """The 32 bytes of RFC 8032."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the raw key, hex."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def key_id(self) -> str:
        """Enough of the fingerprint to tell keys apart."""
        return self.fingerprint[:16]

    def signed(self, signature: bytes, message: bytes) -> bool:
        """Whether its other half signed just this."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """What publishes. Its secret never leaves this object but into its file."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public = PublicKey(raw)

    @classmethod
    def generate(cls) -> SigningKey:
        return cls(Ed25519PrivateKey.generate())

    def sign(self, message: bytes) -> bytes:
        """64 bytes, the same for the same message."""
        return self._private.sign(message)

    def write(self, folder: Path, purpose: Purpose = "gallery") -> tuple[Path, Path]:
        """Write both halves into a folder, the private one for its owner's eyes only.

        Args:
            folder: made if missing.
            purpose: what the files are called after, `gallery-signing.key` and `.pub`.

        Returns:
            The files of the private and of the public key.

        Raises:
            UsageError: there is a key already, or nothing can be written there.
        """
        private = self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = self._private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        files = folder / f"{purpose}-signing.key", folder / f"{purpose}-signing.pub"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if taken := [path for path in files if path.exists()]:
                raise FileExistsError(0, "there is a key already", str(taken[0]))
            _write_new(files[0], private, 0o600)
            _write_new(files[1], public, 0o644)
        except OSError as error:
            raise UsageError(
                f"keys {error.filename or folder}: {error.strerror}; give another folder"
            ) from error
        return files


def read_signing_key(path: Path) -> SigningKey:
    """The private key of a file.

    Raises:
        UsageError: it cannot be read, is none of ours, or others may read it too.
    """
    body = _read(path, "signing key")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UsageError(f"signing key {path}: others may read it; run chmod 600 {path}")
    try:
        key = load_pem_private_key(body, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _not_a_key(path, "private", "signing key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _not_a_key(path, "private", "signing key")
    return SigningKey(key)


def read_public_key(path: Path) -> PublicKey:
    """The public key of a file.

    Raises:
        UsageError: it cannot be read, or is none.
    """
    try:
        key = load_pem_public_key(_read(path, "public key"))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _not_a_key(path, "public", "public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise _not_a_key(path, "public", "public key")
    return PublicKey(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(1 << 16)
    except OSError as error:
        raise UsageError(
            f"{what} {path}: cannot be read: {error.strerror}; `edge-reid keys new` makes one"
        ) from error


def _not_a_key(path: Path, half: str, what: str) -> UsageError:
    return UsageError(
        f"{what} {path}: expected an Ed25519 {half} key in PEM, got something else; "
        "`edge-reid keys new` makes one"
    )


def _write_new(path: Path, body: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as file:
        file.write(body)
