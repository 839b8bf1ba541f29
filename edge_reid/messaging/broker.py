"""Where the broker is and how to get in."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from edge_reid.core.config import MqttSettings
from edge_reid.core.errors import BrokerError, ConfigError

PLAIN_PORT = 1883
TLS_PORT = 8883


class RefusedError(BrokerError):
    """The broker, or its certificate, says no. Trying again soon is of no use."""


class UnreachableError(BrokerError):
    """There is no broker, or no longer. It may come back."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker's address, and our login."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    """None: plain TCP, because the URL says `mqtt://`. Never a fallback."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    keepalive_s: int = 30

    @classmethod
    def from_settings(cls, settings: MqttSettings) -> Broker:
        """Read the files that the settings name.

        Raises:
            ConfigError: there is no URL, or a file cannot be read; all mistakes at once.
        """
        parts = urlsplit(settings.url or "")
        mistakes: list[str] = []
        if parts.hostname is None:
            mistakes.append("url: is missing; give one such as mqtt://127.0.0.1:1883")
        is_tls = parts.scheme == "mqtts"
        if settings.ca_file and not is_tls:
            mistakes.append("ca_file: is of no use without mqtts://")
        if settings.password_file and not settings.username:
            mistakes.append("password_file: is of no use without username")
        password = _read_password(settings.password_file, mistakes)
        context = _tls_context(settings.ca_file, mistakes) if is_tls else None
        if mistakes:
            raise ConfigError("mqtt", mistakes)
        return cls(
            host=parts.hostname or "",
            port=parts.port or (TLS_PORT if is_tls else PLAIN_PORT),
            tls=context,
            username=settings.username,
            password=password,
            keepalive_s=settings.keepalive_s,
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def _read_password(path: Path | None, mistakes: list[str]) -> str | None:
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        mistakes.append(f"password_file: {path} cannot be read: {error}")
        return None
    if not lines or not lines[0]:
        mistakes.append(f"password_file: {path} should hold the password in its first line")
        return None
    return lines[0]


def _tls_context(ca_file: Path | None, mistakes: list[str]) -> ssl.SSLContext | None:
    """One that verifies the certificate and the host name, always."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        mistakes.append(f"ca_file: {ca_file} is no certificate file: {error}")
        return None
