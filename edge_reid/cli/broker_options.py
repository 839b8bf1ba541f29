"""How verbs that talk to a broker are told where it is and who we are."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:  # kept from `--help`, which answers at once
    from edge_reid.mqtt.broker import Broker

LOCAL = "mqtt://127.0.0.1:1883"


@dataclass(frozen=True)
class BrokerLogin:
    """The broker and ourselves, as typed: every field is an option, see `takes_login`."""

    url: Annotated[
        str | None, typer.Option("--broker", help="mqtt://host:port or mqtts://host:port.")
    ] = LOCAL
    root: Annotated[str, typer.Option(help="First topic level.")] = "edge-reid"
    username: Annotated[str | None, typer.Option(help="Broker login.")] = None
    password_file: Annotated[
        Path | None, typer.Option(help="File whose first line is the broker password.")
    ] = None
    ca_file: Annotated[
        Path | None, typer.Option(help="CA that signed the broker's certificate (mqtts).")
    ] = None
    cert_file: Annotated[Path | None, typer.Option(help="Our own certificate (mqtts).")] = None
    key_file: Annotated[Path | None, typer.Option(help="The private key of our certificate.")] = (
        None
    )
    allow_plaintext: Annotated[
        bool, typer.Option("--allow-plaintext", help="Let mqtt:// leave this machine.")
    ] = False

    def broker(self) -> Broker:
        """The broker that the options mean.

        Raises:
            ConfigError: with every mistake at once.
        """
        from edge_reid.core.config import MqttSettings, parse_section
        from edge_reid.mqtt.broker import Broker

        return Broker.from_settings(parse_section(MqttSettings, asdict(self)))


def takes_login(url: str | None = LOCAL) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator: the verb's parameter `login` becomes the options that a BrokerLogin is made of.

    Typer reads options off a signature and knows no groups of them, so the verb gets a signature
    in which they stand where `login` stood. `url` is what `--broker` is when nobody gives it.
    """

    def expand(verb: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(verb, eval_str=True).parameters
        ours = dict(inspect.signature(BrokerLogin, eval_str=True).parameters)
        ours["url"] = ours["url"].replace(default=url)
        options = [
            option.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, parameter in own.items()
            for option in (ours.values() if name == "login" else (parameter,))
        ]

        @functools.wraps(verb)
        def asked(**given: Any) -> None:
            login = BrokerLogin(
                **{field.name: given.pop(field.name) for field in fields(BrokerLogin)}
            )
            verb(login=login, **given)

        asked.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        asked.__annotations__ = {option.name: option.annotation for option in options}
        return asked

    return expand


def topic_name(option: str, name: str) -> str:
    """A name that can stand in a topic, from an option.

    Raises:
        UsageError: it cannot.
    """
    import re

    from edge_reid.core.errors import UsageError
    from edge_reid.core.names import NAME_PATTERN

    if not re.fullmatch(NAME_PATTERN, name):
        raise UsageError(f"{option}: expected a name of a-z, 0-9, _ and -, got {name!r}")
    return name
