r"""Messages signed with the key of a certificate: whoever has the authority's knows who says it.

    <certificate: DER in base64>\n<signature in base64>\n<body>

The signature is ECDSA with SHA-256 over `CONTEXT` and the body. The key is the one that opens TLS
connections: no handshake signs anything that begins with the context, and nothing that is signed
here is of use in one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from edge_reid.core.errors import UsageError
from edge_reid.signing.certificate_holder import CertificateHolder
from edge_reid.signing.envelope import EnvelopeError

CONTEXT = b"edge-reid.certified/1\n"
_SIGNING = ec.ECDSA(SHA256())
_KNOWN_MAX = 1000
"""Certificates that are not verified again with every message."""


class CertifiedKey:
    """Our own certificate, and its key, which signs."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.holder = CertificateHolder.of(certificate)
        self._certificate = base64.b64encode(certificate.public_bytes(Encoding.DER))
        self._key = key

    @classmethod
    def read(cls, cert_file: Path, key_file: Path) -> CertifiedKey:
        """Read both from PEM files.

        Raises:
            UsageError: one cannot be read, or they are no pair of `certs.py`.
        """
        try:
            certificate = x509.load_pem_x509_certificate(_read(cert_file))
            key = load_pem_private_key(_read(key_file), password=None)
            return cls(certificate, _key_of(certificate, key))
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise UsageError(
                f"{cert_file}, {key_file}: expected a certificate that certs.py issued and its key "
                f"on an elliptic curve, got others: {error}"
            ) from error

    def sign(self, body: bytes) -> bytes:
        """The body, with our certificate and its signature before it."""
        signature = base64.b64encode(self._key.sign(CONTEXT + body, _SIGNING))
        return b"\n".join((self._certificate, signature, body))


@dataclass(frozen=True, slots=True)
class _Certified:
    holder: CertificateHolder
    key: ec.EllipticCurvePublicKey
    begins: datetime
    ends: datetime


class CertificateAuthority:
    """Who issued the certificates of a site; tells whose a signed message is. Of one thread."""

    def __init__(self, certificates: Sequence[x509.Certificate]) -> None:
        self._authorities = tuple(certificates)
        self._known: dict[bytes, _Certified] = {}

    @classmethod
    def read(cls, ca_file: Path) -> CertificateAuthority:
        """Read one or more certificates of authorities from a PEM file.

        Raises:
            UsageError: it cannot be read, or holds none.
        """
        try:
            return cls(x509.load_pem_x509_certificates(_read(ca_file)))
        except ValueError as error:
            raise UsageError(
                f"{ca_file}: expected certificates of authorities in PEM, got something else"
            ) from error

    def verify(
        self, signed: bytes, max_bytes: int, now: datetime
    ) -> tuple[CertificateHolder, bytes]:
        """Check a message; returns who signed it, and the body, which is not parsed.

        Args:
            signed: the message.
            max_bytes: of it.
            now: with a time zone; certificates hold for a time.

        Raises:
            EnvelopeError: it is too large, no such message, or signed by nobody whom this authority
                has certified.
        """
        if len(signed) > max_bytes:
            raise EnvelopeError(f"expected at most {max_bytes} bytes, got {len(signed)}")
        certificate, _, rest = signed.partition(b"\n")
        signature, _, body = rest.partition(b"\n")
        certified = self._certified(certificate)
        if not certified.begins <= now <= certified.ends:
            raise EnvelopeError(
                f"the certificate of {certified.holder} does not hold now; run certs.py renew, and "
                "check the clock of this device"
            )
        try:
            certified.key.verify(_decoded(signature), CONTEXT + body, _SIGNING)
        except InvalidSignature as error:
            raise EnvelopeError(
                f"the signature is not of {certified.holder}; it is forged, or was changed on its "
                "way"
            ) from error
        return certified.holder, body

    def _certified(self, encoded: bytes) -> _Certified:
        known = self._known.get(encoded)
        if known is None:
            known = self._checked(encoded)
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[encoded] = known
        return known

    def _checked(self, encoded: bytes) -> _Certified:
        """Whoever has issued it comes first: the rest is believed only of our authority's."""
        try:
            certificate = x509.load_der_x509_certificate(_decoded(encoded))
            is_ours = any(_has_issued(it, certificate) for it in self._authorities)
            holder, key = (
                (CertificateHolder.of(certificate), certificate.public_key())
                if is_ours
                else (None, None)
            )
        except Exception as error:  # of what is odd in one the library has errors of any base
            raise EnvelopeError(f"expected a certificate, got something else: {error}") from error
        if holder is None:
            raise EnvelopeError("the certificate is not of this site's authority")
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise EnvelopeError(f"the certificate of {holder} has a key of another kind")
        return _Certified(
            holder, key, certificate.not_valid_before_utc, certificate.not_valid_after_utc
        )


def _has_issued(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _decoded(text: bytes) -> bytes:
    """Of base64 as it is written here: bits of the last digit that mean nothing have to be 0."""
    try:
        body = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise EnvelopeError("expected base64, got something else") from error
    if base64.b64encode(body) != text:
        raise EnvelopeError("expected base64, got another spelling of it")
    return body


def _key_of(certificate: x509.Certificate, key: object) -> ec.EllipticCurvePrivateKey:
    """The key, if it is the certificate's; raises ValueError."""
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("a key of another kind")  # noqa: TRY004 - of a file, not of a call
    if key.public_key() != certificate.public_key():
        raise ValueError("the key of another certificate")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
