"""Anonymous names of strangers: `anon-3fa2c1-12`.

The tag in the middle is that of one device's file; in that file no number is given twice. No
identity may have such a name.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

STRANGER_PATTERN = r"^anon-[0-9a-f]{6}-[1-9][0-9]*$"
_LOOKS_LIKE_ONE = re.compile(r"anon-[0-9a-f]{6}-[0-9]+")


def stranger_tag(*parts: object) -> str:
    """Six hex digits, from values that are unique to a device's file."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:6]


def stranger_name(tag: str, number: int) -> str:
    """The anonymous name of stranger `number` of a device."""
    return f"anon-{tag}-{number}"


def resembles_stranger(name: str) -> bool:
    """Whether a name looks like an anonymous one, in any case and Unicode form."""
    folded = unicodedata.normalize("NFKC", name).casefold().strip()
    return _LOOKS_LIKE_ONE.fullmatch(folded) is not None
