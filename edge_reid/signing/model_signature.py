"""The signature of a model: over its manifest, which names the model by its hash.

`NAME.sig` beside `NAME.json`, in a bundle and in our wheel inside it: 128 hex digits, made by
`edge-reid bundle --key`. The hash alone proves nothing, since whoever changes a model can change
its manifest too.
"""

from __future__ import annotations

import re
from pathlib import Path

from edge_reid.core.errors import ModelError
from edge_reid.core.manifest import manifest_path
from edge_reid.signing.keys import SIGNATURE_BYTES, PublicKey, SigningKey

SIGNATURE_SUFFIX = ".sig"
_CONTEXT = b"edge-reid.model/1\n"
"""Prefix of what is signed: the same key signs bundles and heads, and no signature of one of them
must be valid for another."""
_TEXT = re.compile(rb"[0-9a-f]{%d}\n?" % (2 * SIGNATURE_BYTES))


def signature_path(model_path: Path) -> Path:
    """`models/NAME.tflite` → `models/NAME.sig`."""
    return model_path.with_suffix(SIGNATURE_SUFFIX)


def sign_model(manifest: bytes, key: SigningKey) -> bytes:
    """Sign the bytes of a manifest; returns the content of the `.sig` file."""
    return key.sign(_CONTEXT + manifest).hex().encode() + b"\n"


def is_signed(model_path: Path, key: PublicKey) -> bool:
    """Whether a model is signed with this key. False: there is no signature beside it.

    Raises:
        ModelError: the signature is of another key or over another manifest, or cannot be read.
    """
    path = signature_path(model_path)
    if not path.exists():
        return False
    try:
        signature = path.read_bytes()
        manifest = manifest_path(model_path).read_bytes()
    except OSError as error:
        raise ModelError(f"{error.filename}: cannot be read: {error.strerror}") from error
    if not _TEXT.fullmatch(signature) or not key.signed(
        bytes.fromhex(signature.decode()), _CONTEXT + manifest
    ):
        raise ModelError(
            f"model {model_path}: expected the signature of {key.key_id} in {path.name}, got one "
            "of another key or over another manifest; restore both files, or install the bundle"
        )
    return True
