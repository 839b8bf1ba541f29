"""Who may see the page, and what they may do."""

from __future__ import annotations

import hashlib
import hmac
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from edge_reid.core.config.web_settings import RoleName, WebSettings
from edge_reid.core.errors import ConfigError
from edge_reid.core.text_file import read_text_file
from edge_reid.web.password_hash import PasswordHash

LEAST_TOKEN_LENGTH = 16
MOST_SECRET_LENGTH = 1024
"""Characters; longer ones are wrong without being hashed."""
_RANKS = {role: rank for rank, role in enumerate(get_args(RoleName))}


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at the page."""

    name: str
    role: RoleName

    def may(self, role: RoleName) -> bool:
        """Whether they may do what this role may.

        >>> Visitor("anna", "operator").may("viewer"), Visitor("anna", "operator").may("admin")
        (True, False)
        """
        return _RANKS[self.role] >= _RANKS[role]


ANYBODY_HERE = Visitor("this device", "admin")
"""Whoever is on the device, where nobody logs in."""


class PageAccess:
    """Tells by a name and a secret who somebody is.

    Raises:
        ConfigError: the token's file cannot be read or has none, or a hash is none.
    """

    def __init__(self, settings: WebSettings) -> None:
        self.is_open = settings.is_open
        """Whether nobody logs in."""
        self._token = _sha256(_read_token(settings.token_file)) if settings.token_file else None
        self._users = {
            name: (user.role, PasswordHash.parse(user.password_hash))
            for name, user in settings.users.items()
        }
        self._nobody = PasswordHash.of("whoever is not among the users")
        self._hashing = threading.Lock()  # one at a time: each takes 16 MB

    def identify(self, name: str, secret: str) -> Visitor | None:
        """Who it is; None: nobody we know. Takes as long for a wrong name as for a wrong password.

        Args:
            name: of a user; empty for whoever has the token.
            secret: password or token.
        """
        if len(secret) > MOST_SECRET_LENGTH:
            return None
        if not name:
            return self._with_token(secret)
        role, password = self._users.get(name, (None, self._nobody))
        with self._hashing:
            is_right = password.is_of(secret)
        return Visitor(name, role) if is_right and role else None

    def _with_token(self, secret: str) -> Visitor | None:
        is_right = self._token and hmac.compare_digest(_sha256(secret), self._token)
        return Visitor("token", "admin") if is_right else None


def _read_token(path: Path) -> str:
    try:
        lines = read_text_file(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"web.token_file: cannot be read: {error}"]) from error
    token = lines[0].strip() if lines else ""
    if len(token) < LEAST_TOKEN_LENGTH:
        problem = (
            f"web.token_file: expected at least {LEAST_TOKEN_LENGTH} characters in its first line, "
            f"got {len(token)}; write a longer one, such as `openssl rand -hex 32` prints"
        )
        raise ConfigError(str(path), [problem])
    return token


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
