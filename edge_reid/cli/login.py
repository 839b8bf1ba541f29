"""How verbs that talk to a broker are told where it is and who we are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # kept from `--help`, which answers at once
    from edge_reid.messaging.broker import Broker

BrokerUrl = Annotated[str, typer.Option(help="mqtt://host:port or mqtts://host:port.")]
Root = Annotated[str, typer.Option(help="First topic level.")]
Username = Annotated[str | None, typer.Option(help="Broker login.")]
PasswordFile = Annotated[
    Path | None, typer.Option(help="File whose first line is the broker password.")
]
CaFile = Annotated[
    Path | None, typer.Option(help="CA that signed the broker's certificate (mqtts).")
]
CertFile = Annotated[Path | None, typer.Option(help="Our own certificate (mqtts).")]
KeyFile = Annotated[Path | None, typer.Option(help="The private key of our certificate.")]
AllowPlaintext = Annotated[
    bool, typer.Option("--allow-plaintext", help="Let mqtt:// leave this machine.")
]

LOCAL = "mqtt://127.0.0.1:1883"


def broker_at(
    url: str,
    *,
    root: str,
    username: str | None,
    password_file: Path | None,
    ca_file: Path | None,
    cert_file: Path | None,
    key_file: Path | None,
    allow_plaintext: bool,
) -> Broker:
    """The broker that the options mean.

    Raises:
        ConfigError: with every mistake at once.
    """
    from edge_reid.core.config import MqttSettings, parse_section
    from edge_reid.messaging.broker import Broker

    settings = {
        "url": url,
        "root": root,
        "username": username,
        "password_file": password_file,
        "ca_file": ca_file,
        "cert_file": cert_file,
        "key_file": key_file,
        "allow_plaintext": allow_plaintext,
    }
    return Broker.from_settings(parse_section(MqttSettings, settings))


def topic_name(option: str, name: str) -> str:
    """A name that can stand in a topic, from an option.

    Raises:
        UsageError: it cannot.
    """
    import re

    from edge_reid.core.config import NAME_PATTERN
    from edge_reid.core.errors import UsageError

    if not re.fullmatch(NAME_PATTERN, name):
        raise UsageError(f"{option}: expected a name of a-z, 0-9, _ and -, got {name!r}")
    return name
