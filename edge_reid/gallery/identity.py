"""Names of identities."""

from __future__ import annotations

import unicodedata

from edge_reid.core.errors import GalleryError

MAX_LENGTH = 64


def identity_name(name: str) -> str:
    """The name as it is stored: composed Unicode (NFC), without blanks around it.

    Raises:
        GalleryError: it is not 1–64 printable characters.
    """
    composed = unicodedata.normalize("NFC", name).strip()
    if not (1 <= len(composed) <= MAX_LENGTH and composed.isprintable()):
        raise GalleryError(
            f"identity {name!r}: expected 1 to {MAX_LENGTH} printable characters, "
            f"got {len(composed)}; give another name"
        )
    return composed


def identity_key(name: str) -> str:
    """The key that all spellings of a name share, whatever their case and Unicode form."""
    return unicodedata.normalize("NFKC", identity_name(name)).casefold()
