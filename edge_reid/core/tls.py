"""TLS of a client that trusts the certificates it is given, and nothing else."""

from __future__ import annotations

import ssl
from pathlib import Path


def verifying_context(ca_file: Path | str | None, advice: str) -> ssl.SSLContext:
    """One that verifies the certificate and the host name, and takes TLS 1.2 at least.

    Args:
        ca_file: whose certificates are trusted, in PEM; None: those of the system.
        advice: what to do if the file is none.

    Raises:
        ValueError: it is missing, cannot be read or holds no certificate; begins with its name, so
            that the option or setting can stand before it.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"{ca_file}: {_reason(error)}; {advice}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, ssl.SSLError):
        return "expected certificates in PEM, got something else"
    return f"cannot be read: {error.strerror}"
