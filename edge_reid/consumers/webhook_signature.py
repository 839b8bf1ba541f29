"""How a webhook is signed, so that its receiver knows who sent it, and when.

Both stand in one header: `t=1764460800,v1=5257a869…`. `v1` is the HMAC-SHA256, in hex, of the time,
a dot and the body, under a secret that both sides have. A receiver refuses what is older than a few
minutes, so that nobody can send again what he has overheard.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from edge_reid.core.errors import UsageError

HEADER = "X-EdgeReid-Signature"
SECRET_MIN = 16
"""Characters of a secret."""


def signature(body: bytes, secret: bytes, at_utc_s: float) -> str:
    """The value of the header, of a body sent at this moment (Unix seconds)."""
    at = int(at_utc_s)
    digest = hmac.new(secret, b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def read_secret(path: Path) -> bytes:
    """The secret in a file, without white space around it.

    Raises:
        UsageError: the file cannot be read, or what it holds can be guessed.
    """
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise UsageError(
            f"--secret-file {path}: expected a file that can be read, got: {error.strerror};"
            " make one with: openssl rand -hex 32"
        ) from error
    if len(secret) < SECRET_MIN:
        raise UsageError(
            f"--secret-file {path}: expected {SECRET_MIN} characters or more, got {len(secret)};"
            " make one with: openssl rand -hex 32"
        )
    return secret
