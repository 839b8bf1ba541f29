"""Where the broker is and how to get in."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from edge_reid.core.config import MqttSettings
from edge_reid.core.errors import ConfigError
from edge_reid.core.text_file import read_text_file
from edge_reid.mqtt.message_transport import RefusedError, TooLargeError, UnreachableError

__all__ = ["CREDENTIALS", "Broker", "RefusedError", "TooLargeError", "UnreachableError"]

PLAIN_PORT = 1883
TLS_PORT = 8883

CREDENTIALS = {
    "password_file": "mqtt.password",
    "ca_file": "mqtt.ca",
    "cert_file": "mqtt.cert",
    "key_file": "mqtt.key",
}
"""Names under which systemd hands files over (`LoadCredential=mqtt.key:/etc/…`). They are looked
up in `$CREDENTIALS_DIRECTORY` where a setting is not given. A blank one is none: a unit file can
only ask for all of them."""


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
        """Read the files that the settings name, or systemd's credentials in their place.

        Raises:
            ConfigError: there is no URL, it would send plaintext over a network, or a file cannot
                be read; all mistakes at once.
        """
        parts = urlsplit(settings.url or "")
        host = parts.hostname or ""
        is_tls = parts.scheme == "mqtts"
        mistakes = _contradictions(settings, host, is_tls=is_tls)
        files = _files(settings, os.environ)
        is_login = settings.username or settings.password_file
        password = _read_password(files["password_file"], mistakes) if is_login else None
        context = _tls_context(files, mistakes) if is_tls else None
        if mistakes:
            raise ConfigError("mqtt", mistakes)
        return cls(
            host=host,
            port=parts.port or (TLS_PORT if is_tls else PLAIN_PORT),
            tls=context,
            username=settings.username,
            password=password,
            keepalive_s=settings.keepalive_s,
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def _contradictions(settings: MqttSettings, host: str, *, is_tls: bool) -> list[str]:
    mistakes: list[str] = []
    if not host:
        mistakes.append("url: is missing; give one such as mqtt://127.0.0.1:1883")
    elif not (is_tls or settings.allow_plaintext or _is_loopback(host)):
        mistakes.append(
            f"url: {settings.url} would send names and places in plaintext over the network;"
            " use mqtts://, or allow_plaintext where nobody else can listen"
        )
    mistakes += [
        f"{name}: is of no use without mqtts://"
        for name in ("ca_file", "cert_file", "key_file")
        if getattr(settings, name) and not is_tls
    ]
    if settings.password_file and not settings.username:
        mistakes.append("password_file: is of no use without username")
    return mistakes


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost" or host.endswith(".localhost")


def _files(settings: MqttSettings, environment: Mapping[str, str]) -> dict[str, Path | None]:
    """What the settings name, else what systemd hands over under the usual name."""
    folder = environment.get("CREDENTIALS_DIRECTORY")

    def handed_over(name: str) -> Path | None:
        path = Path(folder, name) if folder else None
        return path if path and path.exists() and path.read_bytes().strip() else None

    return {key: getattr(settings, key) or handed_over(name) for key, name in CREDENTIALS.items()}


def _read_password(path: Path | None, mistakes: list[str]) -> str | None:
    if path is None:
        return None
    try:
        lines = read_text_file(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        mistakes.append(  # without its name, which may be the password itself
            f"password_file: cannot be read: {reason}; expected the path of a file whose first line"
            " is the password"
        )
        return None
    if not lines or not lines[0]:
        mistakes.append(f"password_file: {path} should hold the password in its first line")
        return None
    return lines[0]


def _tls_context(files: Mapping[str, Path | None], mistakes: list[str]) -> ssl.SSLContext | None:
    """One that verifies the certificate and the host name, always."""
    ca_file, cert_file, key_file = (files[name] for name in ("ca_file", "cert_file", "key_file"))
    try:
        context = ssl.create_default_context(cafile=ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    except OSError as error:  # ssl.SSLError is one
        mistakes.append(f"ca_file: {ca_file} is no certificate file: {error}")
        return None
    if (cert_file is None) != (key_file is None):
        mistakes.append("cert_file: goes with key_file; give both or neither")
    elif cert_file is not None:
        try:
            # an encrypted key would ask on the terminal of a device that has none
            context.load_cert_chain(cert_file, key_file, password="")
        except OSError as error:
            mistakes.append(
                f"cert_file: {cert_file} and {key_file} are no certificate with its key: {error}"
            )
    return context
