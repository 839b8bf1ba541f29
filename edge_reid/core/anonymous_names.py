"""What somebody is called who is not enrolled: `anon-3fa2c1-12`.

The tag in the middle belongs to the file of one device, and the number is never given twice in it.
No identity may have such a name.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

STRANGER_PATTERN = r"^anon-[0-9a-f]{6}-[1-9][0-9]*$"
_LOOKS_LIKE_ONE = re.compile(r"anon-[0-9a-f]{6}-[0-9]+")


def stranger_tag(*parts: object) -> str:
    """Six hex digits made from what sets a device's file apart."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:6]


def stranger_name(tag: str, number: int) -> str:
    """The anonymous id of a device's stranger of that number."""
    return f"anon-{tag}-{number}"


def resembles_stranger(name: str) -> bool:
    """Whether a name could be taken for an anonymous id, however it is spelled."""
    folded = unicodedata.normalize("NFKC", name).casefold().strip()
    return _LOOKS_LIKE_ONE.fullmatch(folded) is not None
