r"""Signed JSON in one piece: the form in which heads are published.

    <signature: 128 hex digits>\n<JSON>

The signature is Ed25519 over the bytes of the JSON, not over what they mean.
"""

from __future__ import annotations

import re

from edge_reid.signing.keys import SIGNATURE_BYTES, PublicKey, SigningKey

_SIGNATURE = re.compile(rb"([0-9a-f]{%d})\n" % (2 * SIGNATURE_BYTES))


class EnvelopeError(Exception):
    """A signed body is refused. The message is the second half of a sentence about it."""


def sign(body: bytes, key: SigningKey) -> bytes:
    """The body with its signature before it."""
    return key.sign(body).hex().encode() + b"\n" + body


def verify_envelope(signed: bytes, key: PublicKey, max_bytes: int) -> bytes:
    """Check the signature, and return the body. The body is not parsed.

    Raises:
        EnvelopeError: there are more than `max_bytes` bytes, or the key did not sign the body.
    """
    if len(signed) > max_bytes:
        raise EnvelopeError(f"expected at most {max_bytes} bytes, got {len(signed)}")
    signature = _SIGNATURE.match(signed)
    body = signed[signature.end() :] if signature else b""
    if signature is None or not key.signed(bytes.fromhex(signature[1].decode()), body):
        raise EnvelopeError(
            f"the signature is not of the pinned key {key.key_id}; it is forged, was changed on "
            "its way, or was published with another key"
        )
    return body
