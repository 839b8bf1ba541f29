"""The options of a broker, declared once for every verb that talks to one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_reid.cli.options import was_typed

if TYPE_CHECKING:  # kept from `--help`, which answers at once
    from edge_reid.mqtt.broker import Broker

LOCAL = "mqtt://127.0.0.1:1883"


@dataclass(frozen=True)
class BrokerLogin:
    """The broker and our login, as given: every field is an option, see `takes_login`."""

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
        """The broker that the options name.

        Raises:
            ConfigError: an option is wrong; all mistakes at once.
        """
        from edge_reid.cli.option_names import options_named
        from edge_reid.core.config.broker_settings import MqttSettings
        from edge_reid.core.config.settings_file import parse_section
        from edge_reid.mqtt.broker import Broker

        with options_named(BROKER_KEYS, offered=BROKER_KEYS):
            return Broker.from_settings(parse_section(MqttSettings, asdict(self)))

    def typed(self, context: typer.Context) -> dict[str, Any]:
        """The options that stand on the command line, by their key in `[mqtt]`; no defaults."""
        return {name: value for name, value in asdict(self).items() if was_typed(context, name)}


BROKER_KEYS = tuple(field.name for field in fields(BrokerLogin))
"""What the options are called in `[mqtt]`."""


def takes_login(url: str | None = LOCAL) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace a verb's parameter `login` by the options of a BrokerLogin.

    Typer reads options off a signature and knows no groups of options, so the decorated verb gets
    a signature in which they stand in the place of `login`.

    Args:
        url: the default of `--broker`; None: no broker.
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
        def with_login(**given: Any) -> None:
            login = BrokerLogin(
                **{field.name: given.pop(field.name) for field in fields(BrokerLogin)}
            )
            verb(login=login, **given)

        with_login.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        with_login.__annotations__ = {option.name: option.annotation for option in options}
        return with_login

    return expand


def topic_name(option: str, name: str) -> str:
    """Check that the value of an option can be a level of a topic, and return it.

    Raises:
        UsageError: the name has other letters than a level may have.
    """
    import re

    from edge_reid.core.errors import UsageError
    from edge_reid.core.names import NAME_PATTERN

    if not re.fullmatch(NAME_PATTERN, name):
        raise UsageError(
            f"{option}: expected a name of a-z, 0-9, _ and -, got {name!r}; it is a level of topics"
        )
    return name
