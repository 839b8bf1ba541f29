"""`edge-reid command`: tell an agent to do something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edge_reid.cli.broker_options import BrokerLogin, takes_login, topic_name
from edge_reid.cli.options import JsonOption, SiteOption

if TYPE_CHECKING:
    from edge_reid.wire.commands import Command, CommandResult


@takes_login()
def command(
    agent: Annotated[
        str, typer.Argument(metavar="AGENT", help="Its name; `edge-reid fleet` lists them.")
    ],
    name: Annotated[
        str,
        typer.Argument(
            metavar="COMMAND",
            help="snapshot, reload, sync-now, set-threshold or not-this-person.",
        ),
    ],
    site: SiteOption,
    threshold: Annotated[
        float | None, typer.Argument(metavar="THRESHOLD", help="Of set-threshold.")
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option(help="A camera of the agent. [default: the agent, whatever its cameras]"),
    ] = None,
    event: Annotated[
        str | None,
        typer.Option(metavar="EVENT_ID", help="Of not-this-person: an event with the wrong name."),
    ] = None,
    as_json: JsonOption = False,
    timeout: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for the answer.")
    ] = 30.0,
    *,
    login: BrokerLogin,
) -> None:
    """Send a command to an agent. It carries out what its configuration allows."""
    from rich.console import Console

    from edge_reid.consumers.command_client import ask
    from edge_reid.core.errors import CommandError
    from edge_reid.core.foreign_text import shown, shown_json
    from edge_reid.wire.topics import Address

    camera = None if camera is None else topic_name("--camera", camera)
    order = _order(name, threshold, camera=camera, event_id=event)
    address = Address(login.root, topic_name("--site", site), topic_name("AGENT", agent))
    with Console(stderr=True).status(f"{agent}: {name}"):
        result = ask(login.broker(), address, order, timeout_s=timeout)
    if as_json:
        typer.echo(shown_json(result.to_json()))
    elif result.outcome == "done":
        typer.echo(f"{agent}: done{shown(_details(result), 4000)}")
    if result.outcome == "refused":
        raise CommandError(f"agent {agent}: refuses {name}: {result.reason}")


def _order(
    name: str, threshold: float | None, *, camera: str | None, event_id: str | None
) -> Command:
    """The command that the words mean.

    Raises:
        UsageError: they mean none.
    """
    from typing import get_args

    from edge_reid.consumers.command_client import new_command
    from edge_reid.core.config.command_settings import CommandName
    from edge_reid.core.errors import UsageError

    if name not in get_args(CommandName):
        expected = ", ".join(get_args(CommandName))
        raise UsageError(f"COMMAND: expected one of {expected}, got {name!r}")
    try:
        return new_command(name, threshold, camera=camera, event_id=event_id)  # type: ignore[arg-type]
    except ValueError as error:
        if (name == "not-this-person") != (event_id is not None):
            raise UsageError(
                "--event: expected the event_id of a hit for not-this-person, and none for any "
                f"other command, got {event_id or 'none'} for {name}"
            ) from error
        raise UsageError(
            "THRESHOLD: expected a similarity from -1 to 1 for set-threshold, and none for any "
            f"other command, got {'none' if threshold is None else threshold} for {name}"
        ) from error


def _details(result: CommandResult) -> str:
    parts = []
    if result.picture:
        picture = result.picture
        parts.append(f"{picture.file} on the device, {picture.size_bytes} bytes, {picture.sha256}")
    if result.threshold is not None:
        until = " until the next reload or start" if result.command == "set-threshold" else ""
        parts.append(f"threshold {result.threshold:g}{until}")
    if result.gallery_version is not None:
        parts.append(f"gallery version {result.gallery_version}")
    if result.note:
        parts.append(result.note)
    if result.restart_for:
        parts.append(f"restart it for what has changed in {', '.join(result.restart_for)}")
    return f": {'; '.join(parts)}" if parts else ""
