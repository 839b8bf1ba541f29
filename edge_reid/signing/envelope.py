r"""Signed JSON in one piece, as heads are published.

    <signature: 128 hex digits>\n<JSON>

The signature is Ed25519 over the bytes of the JSON just as they stand there.
"""

from __future__ import annotations

import re

from edge_reid.signing.keys import SIGNATURE_BYTES, PublicKey, SigningKey

_SIGNATURE = re.compile(rb"([0-9a-f]{%d})\n" % (2 * SIGNATURE_BYTES))


class EnvelopeError(Exception):
    """Why a sign is not to be trusted, in the words of the sentence that it ends."""


def sign(body: bytes, key: SigningKey) -> bytes:
    """The body with its signature in front."""
    return key.sign(body).hex().encode() + b"\n" + body


def verify_envelope(sealed: bytes, key: PublicKey, max_bytes: int) -> bytes:
    """The body, if that key signed it; nothing of it is looked at before that is known.

    Raises:
        EnvelopeError: it is too large, or not signed by that key.
    """
    if len(sealed) > max_bytes:
        raise EnvelopeError(f"expected at most {max_bytes} bytes, got {len(sealed)}")
    found = _SIGNATURE.match(sealed)
    body = sealed[found.end() :] if found else b""
    if found is None or not key.signed(bytes.fromhex(found[1].decode()), body):
        raise EnvelopeError(
            f"the signature is not of the pinned key {key.key_id}; it is forged, was changed on "
            "its way, or was published with another key"
        )
    return body
