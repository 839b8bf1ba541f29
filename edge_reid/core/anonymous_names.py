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


def precedes(name: str, other: str) -> bool:
    """Whether a name is the lesser of two: by tag, then by number.

    It is the one that stays where two names turn out to be one person's: every device finds the
    same, whatever its clock says and whichever it heard first.

    >>> precedes("anon-3fa2c1-9", "anon-3fa2c1-12"), precedes("anon-b00000-1", "anon-3fa2c1-12")
    (True, False)
    """
    return _parts(name) < _parts(other)


def tag_in(name: str) -> str:
    """The tag of the file in which somebody was named first.

    >>> tag_in("anon-3fa2c1-12")
    '3fa2c1'
    """
    return _parts(name)[0]


def _parts(name: str) -> tuple[str, int]:
    _, tag, number = name.split("-")
    return tag, int(number)


def resembles_stranger(name: str) -> bool:
    """Whether a name looks like an anonymous one, in any case and Unicode form."""
    folded = unicodedata.normalize("NFKC", name).casefold().strip()
    return _LOOKS_LIKE_ONE.fullmatch(folded) is not None
