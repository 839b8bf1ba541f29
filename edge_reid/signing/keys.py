"""Ed25519 keys: the publisher signs with the private key, every device pins the public one.

PEM files as OpenSSL writes them: PKCS #8 for the private key, SubjectPublicKeyInfo for the public.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

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
"""What a key signs. Galleries and releases have keys of their own: those who enrol people need not
be those who decide what devices run."""

SIGNATURE_BYTES = 64

_Half = Literal["private", "public"]
_SUFFIXES: dict[_Half, str] = {"private": ".key", "public": ".pub"}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key, which devices pin."""

    raw: bytes
    """The 32 bytes of RFC 8032."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the raw key, hex."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def key_id(self) -> str:
        """The first 16 digits of the fingerprint."""
        return self.fingerprint[:16]

    def signed(self, signature: bytes, message: bytes) -> bool:
        """Whether the private key made this signature of this message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """A private key, which signs. It leaves this object only into its file."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public = PublicKey(raw)

    @classmethod
    def generate(cls) -> SigningKey:
        return cls(Ed25519PrivateKey.generate())

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes: the same for the same message."""
        return self._private.sign(message)

    def write(self, folder: Path, purpose: Purpose = "gallery") -> tuple[Path, Path]:
        """Write both keys into a folder, the private one readable by its owner only.

        Args:
            folder: made if missing.
            purpose: prefix of the files, as in `gallery-signing.key` and `.pub`.

        Returns:
            The file of the private key, and that of the public key.

        Raises:
            UsageError: a key exists there, or the folder cannot be written.
        """
        private = self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = self._private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        private_name, public_name = _file_names(purpose)
        files = folder / private_name, folder / public_name
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


def read_signing_key(path: Path, purpose: Purpose = "gallery") -> SigningKey:
    """Read a private key.

    Args:
        path: of the file.
        purpose: what is to be signed; a file that still bears the name of a key for something else
            is refused.

    Raises:
        UsageError: the file cannot be read, is no Ed25519 key, is readable by others, or is a key
            for something else.
    """
    _check_purpose(path, purpose)
    body = _read(path, "signing key")
    try:
        key = load_pem_private_key(body, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _not_a_key(path, "private", "signing key", body) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _not_a_key(path, "private", "signing key", body)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UsageError(
            f"signing key {path}: expected a file of its owner alone, others may read it; "
            f"run chmod 600 {path}"
        )
    return SigningKey(key)


def _check_purpose(path: Path, wanted: Purpose) -> None:
    for other in get_args(Purpose):
        if other != wanted and path.name == _file_names(other)[0]:
            plural = {"gallery": "galleries", "release": "releases"}
            raise UsageError(
                f"signing key {path}: expected a key for {plural[wanted]}, got one for "
                f"{plural[other]}; give {_file_names(wanted)[0]}, which "
                f"`edge-reid keys new --for {wanted}` makes; where devices have this one for both, "
                "rename it"
            )


def _file_names(purpose: Purpose) -> tuple[str, str]:
    return f"{purpose}-signing{_SUFFIXES['private']}", f"{purpose}-signing{_SUFFIXES['public']}"


def read_public_key(path: Path) -> PublicKey:
    """Read a public key.

    Raises:
        UsageError: the file cannot be read, or is no Ed25519 key.
    """
    body = _read(path, "public key")
    try:
        key = load_pem_public_key(body)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _not_a_key(path, "public", "public key", body) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _not_a_key(path, "public", "public key", body)
    return PublicKey(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(1 << 16)
    except OSError as error:
        raise UsageError(
            f"{what} {path}: cannot be read: {error.strerror}; `edge-reid keys new` makes one"
        ) from error


def _not_a_key(path: Path, half: _Half, what: str, body: bytes) -> UsageError:
    other: _Half = "public" if half == "private" else "private"
    if b"-----BEGIN %s KEY-----" % other.upper().encode() in body:
        return UsageError(
            f"{what} {path}: expected the {half} key, got the {other} one; give the file beside it "
            f"that ends in {_SUFFIXES[half]}"
        )
    return UsageError(
        f"{what} {path}: expected an Ed25519 {half} key in PEM, got something else; "
        "`edge-reid keys new` makes one"
    )


def _write_new(path: Path, body: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as file:
        file.write(body)
