"""Who vouches for a model: a signature over its manifest, which names the model by its hash.

`models/NAME.sig` beside `models/NAME.json`: 128 hex digits, made by `edge-reid bundle --key`. A
hash alone proves nothing, as who changes a model changes its manifest too.
"""

from __future__ import annotations

import re
from pathlib import Path

from edge_reid.core.errors import ModelError
from edge_reid.core.manifest import manifest_path
from edge_reid.signing.keys import SIGNATURE_BYTES, PublicKey, SigningKey

_CONTEXT = b"edge-reid.model/1\n"
"""The same key signs bundles and heads; what it says of one is nothing about another."""
_TEXT = re.compile(rb"[0-9a-f]{%d}\n?" % (2 * SIGNATURE_BYTES))


def signature_path(model_path: Path) -> Path:
    """`models/NAME.tflite` → `models/NAME.sig`."""
    return model_path.with_suffix(".sig")


def sign_model(manifest: bytes, key: SigningKey) -> bytes:
    """The signature over the bytes of a model's manifest, as its file has it."""
    return key.sign(_CONTEXT + manifest).hex().encode() + b"\n"


def is_signed(model_path: Path, key: PublicKey) -> bool:
    """Whether that key vouches for a model; False: no signature lies beside it.

    Raises:
        ModelError: there is one, and it is of another key or over another manifest.
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
