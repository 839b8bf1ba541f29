"""Where the broker is and how to get in."""

from __future__ import annotations

import os
import random
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from edge_reid.core.config.broker_settings import MqttSettings
from edge_reid.core.errors import ConfigError
from edge_reid.core.server_url import MQTT_PORTS, TLS_SCHEMES, ServerUrl, address, is_loopback
from edge_reid.core.text_file import read_text_file
from edge_reid.core.tls import verifying_context
from edge_reid.mqtt.message_transport import RefusedError, TooLargeError, UnreachableError

__all__ = ["CREDENTIALS", "Broker", "RefusedError", "TooLargeError", "UnreachableError"]

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
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    """Version of MQTT."""
    others: tuple[tuple[str, int], ...] = ()
    """Host and port of the other nodes of a cluster, tried when those before are not there."""
    scheme: str = "mqtt"
    """Of its URL."""

    @classmethod
    def from_settings(cls, settings: MqttSettings, ports: Mapping[str, int] = MQTT_PORTS) -> Broker:
        """Read the files that the settings name, or systemd's credentials in their place.

        Args:
            settings: of the agent, or of a verb.
            ports: schemes that its URL may have, and the usual port of each.

        Raises:
            ConfigError: there is no URL, it would send plaintext over a network, or a file cannot
                be read; all mistakes at once.
        """
        url = ServerUrl.parse(settings.url, ports) if settings.url else ServerUrl("mqtt", ())
        is_tls = url.scheme in TLS_SCHEMES.values()
        mistakes = _contradictions(settings, url, is_tls=is_tls)
        files = login_files(settings)
        is_login = settings.username or settings.password_file
        password = _read_password(files["password_file"], mistakes) if is_login else None
        context = _tls_context(files, mistakes) if is_tls else None
        if mistakes:
            raise ConfigError("mqtt", mistakes)
        (host, port), *others = url.nodes
        return cls(
            host=host,
            port=port,
            tls=context,
            username=settings.username,
            password=password,
            keepalive_s=settings.keepalive_s,
            protocol=settings.protocol,
            others=tuple(others),
            scheme=url.scheme,
        )

    @property
    def nodes(self) -> tuple[Broker, ...]:
        """Each node of a cluster as a broker of its own; one that is alone is its only node."""
        alone = replace(self, others=())
        return (alone, *(replace(alone, host=host, port=port) for host, port in self.others))

    @property
    def shuffled(self) -> Broker:
        """The same nodes in any order: so a fleet spreads over a cluster."""
        nodes = [(self.host, self.port), *self.others]
        (host, port), *others = random.sample(nodes, len(nodes))
        return replace(self, host=host, port=port, others=tuple(others))

    @property
    def address(self) -> str:
        """Host and port, of each node."""
        return ",".join(address(*node) for node in ((self.host, self.port), *self.others))

    def __str__(self) -> str:
        scheme = TLS_SCHEMES.get(self.scheme, self.scheme) if self.tls else self.scheme
        return f"{scheme}://{self.address}"


def _contradictions(settings: MqttSettings, url: ServerUrl, *, is_tls: bool) -> list[str]:
    mistakes: list[str] = []
    secure = url.scheme if is_tls else TLS_SCHEMES[url.scheme]
    if not url.nodes:
        mistakes.append("url: is missing; give one such as mqtt://127.0.0.1:1883")
    elif not (is_tls or settings.allow_plaintext or all(is_loopback(h) for h, _ in url.nodes)):
        mistakes.append(
            f"url: {settings.url} would send names and places in plaintext over the network;"
            f" use {secure}://, or allow_plaintext where nobody else can listen"
        )
    mistakes += [
        f"{name}: is of no use without {secure}://; say that, or leave it out"
        for name in ("ca_file", "cert_file", "key_file")
        if getattr(settings, name) and not is_tls
    ]
    if settings.password_file and not settings.username:
        mistakes.append("password_file: is of no use without mqtt.username; set it")
    return mistakes


def certificate_shown(settings: MqttSettings) -> Path | None:
    """The certificate that the broker is shown; None: none, as without TLS."""
    url = ServerUrl.parse(settings.url, MQTT_PORTS) if settings.url else None
    is_tls = url is not None and url.scheme in TLS_SCHEMES.values()
    return login_files(settings)["cert_file"] if is_tls else None


def login_files(settings: MqttSettings) -> dict[str, Path | None]:
    """What the settings name, else what systemd hands over under the usual name; by their keys."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")

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
        mistakes.append(
            f"password_file: {path} should hold the password in its first line; write it there"
        )
        return None
    return lines[0]


_WRITTEN_AS = {"cert_file": "clients/NAME.crt", "key_file": "clients/NAME.key"}


def _missing(files: Mapping[str, Path | None]) -> Iterator[str]:
    """A line for each file of ours that is named and not there: `ssl` does not say which it is."""
    for key, written_as in _WRITTEN_AS.items():
        path = files[key]
        if path and _is_missing(path):
            yield f"{key}: {path}: no such file; certs.py writes one as {written_as}"


def _is_missing(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False  # whoever reads it says why
    return False


def _tls_context(files: Mapping[str, Path | None], mistakes: list[str]) -> ssl.SSLContext | None:
    """One that verifies the certificate and the host name, always; shows ours, if we have one."""
    context = None
    try:
        context = verifying_context(files["ca_file"], "certs.py writes one as ca.crt")
    except ValueError as error:
        mistakes.append(f"ca_file: {error}")
    missing = list(_missing(files))
    mistakes += missing
    if context and not missing:
        _show_ours(context, files, mistakes)
    return context


def _show_ours(
    context: ssl.SSLContext, files: Mapping[str, Path | None], mistakes: list[str]
) -> None:
    cert_file, key_file = files["cert_file"], files["key_file"]
    if (cert_file is None) != (key_file is None):
        mistakes.append("cert_file: goes with key_file; give both or neither")
    elif cert_file is not None:
        try:
            # an encrypted key would ask on the terminal of a device that has none
            context.load_cert_chain(cert_file, key_file, password="")
        except OSError as error:
            mistakes.append(
                f"cert_file: {cert_file} and {key_file} are no certificate with its key: {error};"
                " certs.py wrote both as clients/NAME.crt and clients/NAME.key"
            )
