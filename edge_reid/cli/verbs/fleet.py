"""`edge-reid fleet`: every agent of a site, from what they left on the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_reid.cli.broker_options import BrokerLogin, takes_login, topic_name
from edge_reid.cli.options import JsonLinesOption, SiteOption

if TYPE_CHECKING:
    from edge_reid.consumers.fleet import Fleet, FleetMember
    from edge_reid.mqtt.broker import Broker
    from edge_reid.mqtt.subscriber import Subscriber

TICK_S = 0.5
"""How often the screen is brought up to date."""


@takes_login()
def fleet(
    site: SiteOption,
    as_json: JsonLinesOption = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and follow what changes. Ctrl-C leaves.")
    ] = False,
    forget: Annotated[
        str | None,
        typer.Option(metavar="AGENT", help="Clear all that a retired agent has left there."),
    ] = None,
    *,
    login: BrokerLogin,
) -> None:
    """Show every agent of a site. Release, gallery, outbox, cameras, names taken twice."""
    from edge_reid.consumers.fleet import Fleet, fleet_filters
    from edge_reid.core.errors import UsageError
    from edge_reid.mqtt.retained import read_retained
    from edge_reid.mqtt.subscriber import Subscriber

    if as_json + watch + (forget is not None) > 1:
        raise UsageError("--json, --watch and --forget: do not go together; leave all but one out")
    broker, site = login.broker(), topic_name("--site", site)
    known = Fleet(login.root, site)
    with Subscriber(broker, fleet_filters(login.root, site)) as subscriber:
        retained = read_retained(subscriber.receive)
        known.learn_all(retained.messages)
        if not retained.is_whole:
            typer.echo(
                f"{site}: more is retained than can be shown; some of it is missing", err=True
            )
        if forget is not None:
            _forget(broker, known, forget)
        elif watch:
            _follow(subscriber, known, site)
        elif as_json:
            _print_json(known)
        else:
            _print_table(known, site)


def _forget(broker: Broker, known: Fleet, name: str) -> None:
    """Clear what an agent has left retained, and what it said of its cameras."""
    from datetime import datetime, timezone

    from edge_reid.cli.fleet_table import is_silent
    from edge_reid.core.errors import UsageError
    from edge_reid.core.foreign_text import shown
    from edge_reid.mqtt.connection import connect
    from edge_reid.mqtt.retained import clear_topics

    member = next((member for member in known.members if member.name == name), None)
    if member is None:
        names = ", ".join(member.name for member in known.members) or "none"
        raise UsageError(f"--forget: expected an agent of this site ({names}), got {shown(name)}")
    if member.is_online and not is_silent(member, datetime.now(timezone.utc)):
        raise UsageError(
            f"--forget: expected an agent that is gone, {name} is online; stop it first, or it "
            "says all of it again"
        )
    connection = connect(broker)
    clear_topics(connection, known.topics_of(member))
    connection.close()
    cameras = "".join(f", camera {camera}" for camera in sorted(member.cameras))
    typer.echo(f"forgotten: agent {name}{cameras}")


def _print_json(known: Fleet) -> None:
    import json

    from edge_reid.core.foreign_text import shown_json

    for member in known.members:
        line = json.dumps(member_as_json(member), ensure_ascii=False, separators=(",", ":"))
        print(shown_json(line))


def member_as_json(member: FleetMember) -> dict[str, Any]:
    """What is known of an agent, in the words of its payloads."""
    return {
        "agent": member.name,
        "online": member.is_online,
        "status": member.status.model_dump(by_alias=True) if member.status else None,
        "cameras": [status.model_dump(by_alias=True) for status in member.cameras.values()],
        "camera_states": [
            brief.model_dump(by_alias=True) if brief else {"camera": name, "state": None}
            for name, brief in member.camera_states.items()
        ],
        "update": member.update.model_dump(by_alias=True) if member.update else None,
        "duplicates": [other.model_dump(by_alias=True) for other in member.duplicates.values()],
    }


def _print_table(known: Fleet, site: str) -> None:
    from rich.console import Console

    from edge_reid.cli.fleet_table import fleet_table
    from edge_reid.cli.output import print_whole

    console = Console()
    if not known.members:
        console.print(f"no agent of site {site} has said anything to this broker", highlight=False)
        return
    print_whole(fleet_table(known, site))


def _follow(subscriber: Subscriber, known: Fleet, site: str) -> None:
    from rich.live import Live

    from edge_reid.cli.fleet_table import fleet_table

    with Live(fleet_table(known, site), auto_refresh=False) as live:
        while True:
            message = subscriber.receive(TICK_S)
            if message:
                known.learn(message)
            live.update(fleet_table(known, site, subscriber.trouble), refresh=message is None)
