"""Whether a camera that speaks TLS is the one meant: by a fingerprint, or by an authority."""

from __future__ import annotations

import hashlib
import hmac
import socket
import ssl
from dataclasses import dataclass

from edge_reid.capture.relay import FaultError
from edge_reid.core.camera_fault import CameraFault
from edge_reid.core.errors import SourceError
from edge_reid.core.tls import verifying_context


class FingerprintError(ValueError):
    """It shows another certificate than the one pinned."""


@dataclass(frozen=True, slots=True)
class CameraTls:
    """How the certificate of a camera is checked.

    Most cameras have one that they signed themselves: then its fingerprint is pinned.
    """

    camera: str
    """What to call it, without a login."""
    ca_file: str | None = None
    """Authority that signs it; None: the system's."""
    fingerprint: str | None = None
    """SHA-256 of the certificate, 64 hexadecimal digits; it alone decides then."""

    def secured(
        self, plain: socket.socket, address: tuple[str, int], timeout_s: float
    ) -> ssl.SSLSocket:
        """The same connection, encrypted and checked.

        Raises:
            FaultError: it is not to be trusted, or the camera speaks no TLS.
            SourceError: `ca_file` cannot be read.
        """
        try:
            return self._wrapped(plain, address[0])
        except (ssl.SSLError, ValueError, TimeoutError) as error:
            plain.close()
            is_untrusted = isinstance(error, ssl.SSLCertVerificationError)
            shown = _shown_fingerprint(address, timeout_s) if is_untrusted else None
            raise FaultError(_fault(self.camera, error, shown)) from error

    def _wrapped(self, plain: socket.socket, host: str) -> ssl.SSLSocket:
        if self.fingerprint is None:
            return self._context().wrap_socket(plain, server_hostname=host)
        secured = _unchecked_context().wrap_socket(plain, server_hostname=host)
        shown = _fingerprint_of(secured)
        if not hmac.compare_digest(shown, self.fingerprint):
            secured.close()
            raise FingerprintError(shown)
        return secured

    def _context(self) -> ssl.SSLContext:
        try:
            advice = "give the CA that signed the camera's certificate"
            return verifying_context(self.ca_file, advice)
        except ValueError as error:
            raise SourceError(f"source.ca_file {error}") from error


def _unchecked_context() -> ssl.SSLContext:
    """Only to see a certificate, or where its fingerprint is compared."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _fingerprint_of(secured: ssl.SSLSocket) -> str:
    """SHA-256 of what the other side shows, in hexadecimal."""
    return hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()


def _shown_fingerprint(address: tuple[str, int], timeout_s: float) -> str | None:
    """What a camera shows now; nothing is sent to it. None: it cannot be had."""
    try:
        with (
            socket.create_connection(address, timeout_s) as plain,
            _unchecked_context().wrap_socket(plain, server_hostname=address[0]) as secured,
        ):
            return _fingerprint_of(secured)
    except (OSError, ValueError):
        return None


def _fault(camera: str, error: Exception, shown: str | None) -> CameraFault:
    """Why its certificate, or its TLS, is not taken, and what to do."""
    if isinstance(error, FingerprintError):
        line = (
            f"shows a certificate of fingerprint {error}, not the one of source.tls_fingerprint;"
            " find out why before you change it"
        )
    elif isinstance(error, ssl.SSLCertVerificationError) and shown:
        line = (
            f"its certificate is not to be trusted ({error.verify_message}); if {shown} is what the"
            f' camera itself shows, set source.tls_fingerprint = "{shown}", else source.ca_file'
        )
    else:
        reason = getattr(error, "reason", None) or type(error).__name__
        line = f"no encrypted connection is possible ({reason}); does it speak TLS on this port?"
    return CameraFault("certificate", f"{camera}: {line}")
