"""The address of a camera: whether a login is in it, and what of it may be said to anybody.

Cameras take a login before the host, or as some makers have it, behind it.
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
"""An `@` there ends a password with a `/`, `?` or `#` in it, which no program reads as one."""

HOW_TO_QUOTE = "in a password write # as %23, / as %2F, ? as %3F, @ as %40, : as %3A and % as %25"


def has_login(url: str) -> bool:
    """Whether an address tells a user or a secret. A file or a camera's number has none."""
    parts = _PARTS.search(url)
    return bool(parts and (parts["login"] or _LOGIN_IN_REST.search(parts["rest"])))


def place(url: str) -> str:
    """What can hold no login: `rtsp://me:secret@gate:554/stream` → `rtsp://gate:554`.

    `rtsp://…` where it is not clear which part is the host.
    """
    parts = _PARTS.search(url)
    if parts is None:
        return "…"
    is_clear = _HOST.fullmatch(parts["host"]) and "@" not in parts["rest"]
    return parts["scheme"] + (parts["host"] if is_clear else "…")
