"""Removes logins from text before it is shown, logged or published. All of it goes through here.

People type passwords where none belong: into an address, before a mistyped host, as the name of a
file. Whatever may hold a secret is left out; the rest is enough to recognise one's own input.
"""

from __future__ import annotations

import re

from edge_reid.core.stream_url import has_login, place

_MOST_CHARACTERS = 200
_BROKEN_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:?/{1,3}", re.IGNORECASE)
"""The scheme of an address, also if a `:` or `/` of it is missing or was removed by a path."""
_SCHEME = re.compile(r"\s*[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][\w+.:-]*:/{1,3}\S+", re.IGNORECASE)
"""In other text; what comes before its `:/` may be a login that holds one itself."""
_KEYS_OF_SECRETS = re.compile(r"pass|pwd|secret|token|key|login|user|wifi", re.IGNORECASE)
_SIGNATURE = re.compile(r"[?&;][^=&;]*(key|sig|secret|credential)[^=&;]*=", re.IGNORECASE)
"""An address that somebody has signed opens for whoever has it."""
_HIDDEN = "…"


def redact(text: str) -> str:
    """The text on one line, without anything that can be a login.

    >>> redact("clips/gate.mp4"), redact("rtsp://me:s3cret@gate/1"), redact("me:s3cret@gate")
    ('clips/gate.mp4', 'rtsp://gate', '…@gate')
    >>> redact("rtsp:/me:s3cret@gate/1"), redact("postgres2://me:s3cret@db/hits")
    ('rtsp:/…@gate', 'postgres2://db')
    """
    if _SCHEME.match(text):
        return _printable(place(text) if _may_hold_login(text) else text)
    # what an address without its scheme looks like, or one whose password holds a `://`
    if has_login("x://" + text) or ("://" in text and _may_hold_login(text)):
        return _printable(_without_login(text))
    return _printable(text)


def redact_within(text: str) -> str:
    """The text with every address in it redacted.

    >>> redact_within("no route to rtsp://me:s3cret@gate/1, gave up")
    'no route to rtsp://gate gave up'
    """
    return _ADDRESS.sub(lambda match: redact(match[0]), text)


def may_hold_secret(key: str) -> bool:
    """Whether a value under this key must not be shown at all."""
    return bool(_KEYS_OF_SECRETS.search(key))


def _may_hold_login(text: str) -> bool:
    """Whether an address may hold a login; one without a host, such as `file:///x`, cannot."""
    is_unclear = place(text).endswith(_HIDDEN) and ":///" not in text
    return has_login(text) or is_unclear or bool(_SIGNATURE.search(text))


def _without_login(text: str) -> str:
    """Scheme and host; `…` for what cannot be told from a login."""
    scheme = _BROKEN_SCHEME.match(text)
    start = scheme[0] if scheme else ""
    host = text.rpartition("@")[2] if "@" in text else ""
    is_clear = re.fullmatch(r"[\w.-]+(:\d+)?(/.*)?", host, re.DOTALL)
    shown = host.split("/")[0] if is_clear else ""
    return f"{start}{_HIDDEN}@{shown}" if shown else f"{start}{_HIDDEN}"


def _printable(text: str) -> str:
    plain = "".join(character if character.isprintable() else _HIDDEN for character in text)
    return plain if len(plain) <= _MOST_CHARACTERS else plain[: _MOST_CHARACTERS - 1] + _HIDDEN
