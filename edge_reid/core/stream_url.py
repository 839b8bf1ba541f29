"""The address of a camera: whether it holds a login, and which part of it may be shown.

Cameras take a login before the host or, with some makers, in path or query.
"""

from __future__ import annotations

import re

_PARTS = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<login>[^/?#]*@)?(?P<host>[^/?#]*)(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_HOST = re.compile(r"([\w.-]+|\[[0-9a-f:.]+\])(:\d+)?", re.IGNORECASE)
_LOGIN_IN_REST = re.compile(
    r"@|[/?&;](u(se|s)r(name)?|pass(word|wd)?|pwd|auth|token)=", re.IGNORECASE
)
"""An `@` behind the host ends a password with an unquoted `/`, `?` or `#`."""

HOW_TO_QUOTE = "in a password write # as %23, / as %2F, ? as %3F, @ as %40, : as %3A and % as %25"


def has_login(url: str) -> bool:
    """Whether an address holds a user or a secret; a file or the index of a camera does not."""
    parts = _PARTS.search(url)
    return bool(parts and (parts["login"] or _LOGIN_IN_REST.search(parts["rest"])))


def place(url: str) -> str:
    """Scheme and host: `rtsp://me:secret@gate:554/stream` → `rtsp://gate:554`.

    `rtsp://…` if it is not clear which part is the host.
    """
    parts = _PARTS.search(url)
    if parts is None:
        return "…"
    is_clear = _HOST.fullmatch(parts["host"]) and "@" not in parts["rest"]
    return parts["scheme"] + (parts["host"] if is_clear else "…")
