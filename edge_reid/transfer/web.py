"""Connections to a web server: `https` only, certificates verified, no redirects."""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from edge_reid.core.errors import ConfigError

TIMEOUT_S = 10.0


def web_connection(url: str, ca_file: Path | None, section: str) -> http.client.HTTPSConnection:
    """A connection to the server of a URL; opened when it is first used.

    Args:
        url: `https://…`.
        ca_file: whose certificates are trusted; None: those of the system.
        section: of the configuration, which is to blame for a bad file.

    Raises:
        ConfigError: the CA file is none.
    """
    parts = urlsplit(url)
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigError(
            section, [f"ca_file: {ca_file} is no certificate file: {error}"]
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return http.client.HTTPSConnection(
        parts.hostname or "", parts.port or 443, timeout=TIMEOUT_S, context=context
    )
