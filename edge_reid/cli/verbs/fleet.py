"""`edge-reid fleet`: every agent of a site, from what they left on the broker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_reid.cli.broker_options import BrokerLogin, takes_login, topic_name
from edge_reid.cli.options import JsonLinesOption, SiteOption

if TYPE_CHECKING:
    from edge_reid.consumers.fleet import Fleet, FleetMember
    from edge_reid.mqtt.broker import Broker
    from edge_reid.mqtt.connection import Connection
    from edge_reid.mqtt.retained import Retained
    from edge_reid.mqtt.subscriber import Subscriber

TICK_S = 0.5
"""How often the screen is brought up to date."""
STATES = ("online", "offline", "silent", "lost")

fleet = typer.Typer(rich_markup_mode=None)


@fleet.callback(invoke_without_command=True)
@takes_login()
def show(
    context: typer.Context,
    site: Annotated[str | None, typer.Option("--site", help="The site.")] = None,
    as_json: JsonLinesOption = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and follow what changes. Ctrl-C leaves.")
    ] = False,
    state: Annotated[
        str | None,
        typer.Option(
            help="Only who is online, or offline: stopped, lost or silent; lost and silent alone."
        ),
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Only this group of the release that is published.")
    ] = None,
    forget: Annotated[str | None, typer.Option("--forget", hidden=True)] = None,
    *,
    login: BrokerLogin,
) -> None:
    """Show every agent of a site. Release, gallery, outbox, cameras, names taken twice."""
    from edge_reid.core.errors import UsageError
    from edge_reid.mqtt.subscriber import Subscriber

    if forget is not None:
        raise UsageError(f"--forget: is `edge-reid fleet forget {forget}` now")
    if context.invoked_subcommand is not None:
        return
    if site is None:
        raise UsageError("--site: expected the site whose agents to show, got none")
    if as_json and watch:
        raise UsageError("--json, --watch: do not go together; leave one out")
    if state not in {None, *STATES}:
        raise UsageError(f"--state: expected one of {', '.join(STATES)}, got {state!r}")
    site = topic_name("--site", site)
    with Subscriber(login.broker(), _filters(login.root, site, group)) as subscriber:
        known, retained = _read(subscriber, login.root, site)
        chosen = _Choice(state, _agents_of(group, retained, login.root, site) if group else None)
        if watch:
            _follow(subscriber, known, chosen, site)
    if as_json:
        _print_json(chosen.members(known))
    else:
        _print_table(known, chosen, site)


@fleet.command("forget")
@takes_login()
def forget_agent(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The retired agent.")],
    site: SiteOption,
    *,
    login: BrokerLogin,
) -> None:
    """Clear what a retired agent left retained. Its status, cameras, updates, shared strangers."""
    from edge_reid.mqtt.subscriber import Subscriber

    broker, site = login.broker(), topic_name("--site", site)
    with Subscriber(broker, _filters(login.root, site, None)) as subscriber:
        known, _ = _read(subscriber, login.root, site)
        _forget(broker, known, name)


class _Choice:
    """Which agents are shown."""

    def __init__(self, state: str | None, agents: frozenset[str] | None) -> None:
        self._state = state
        self._agents = agents

    def members(self, known: Fleet) -> list[FleetMember]:
        now = datetime.now(timezone.utc)
        return [member for member in known.members if self._has(member, now)]

    def _has(self, member: FleetMember, now: datetime) -> bool:
        if self._agents is not None and member.name not in self._agents:
            return False
        presence = member.presence(now)
        if self._state == "offline":
            return presence != "online"
        return self._state in {None, presence}


def _filters(root: str, site: str, group: str | None) -> tuple[str, ...]:
    from edge_reid.consumers.fleet import fleet_filters
    from edge_reid.wire.topics import RELEASE_HEAD

    heads = (RELEASE_HEAD.name(root, site),) if group else ()
    return (*fleet_filters(root, site), *heads)


def _read(subscriber: Subscriber, root: str, site: str) -> tuple[Fleet, Retained]:
    """What lies retained now."""
    from edge_reid.consumers.fleet import Fleet
    from edge_reid.mqtt.retained import read_retained

    known, retained = Fleet(root, site), read_retained(subscriber.receive)
    known.learn_all(retained.messages)
    if not retained.is_whole:
        typer.echo(f"{site}: more is retained than can be shown; some of it is missing", err=True)
    return known, retained


def _agents_of(group: str, retained: Retained, root: str, site: str) -> frozenset[str]:
    """The agents of a group, by the head of the release. Whose signature it has is the devices'
    to ask: here it only chooses what is shown.
    """
    from edge_reid.core.errors import UsageError
    from edge_reid.release.release_head import groups_in
    from edge_reid.wire.topics import RELEASE_HEAD

    body = retained.body(RELEASE_HEAD.name(root, site))
    groups = groups_in(body) if body else {}
    if group not in groups:
        raise UsageError(
            f"--group: expected a group of the release that is published"
            f" ({', '.join(sorted(groups)) or 'there is none, or this login may not read it'}),"
            f" got {group!r}"
        )
    return groups[group]


def _forget(broker: Broker, known: Fleet, name: str) -> None:
    """Clear what an agent has left retained, and what it said of its cameras."""
    from edge_reid.core.errors import UsageError
    from edge_reid.core.foreign_text import shown
    from edge_reid.mqtt.connection import connect
    from edge_reid.mqtt.retained import clear_topics

    member = next((member for member in known.members if member.name == name), None)
    if member is None:
        names = ", ".join(member.name for member in known.members) or "none"
        raise UsageError(f"NAME: expected an agent of this site ({names}), got {shown(name)}")
    if member.presence(datetime.now(timezone.utc)) == "online":
        raise UsageError(
            f"NAME: expected an agent that is gone, {name} is online; stop it first, or it says"
            " all of it again"
        )
    connection = connect(broker)
    clear_topics(connection, [*known.topics_of(member), *_strangers_of(connection, known, name)])
    connection.close()
    cameras = "".join(f", camera {camera}" for camera in sorted(member.cameras))
    typer.echo(f"forgotten: agent {name}{cameras}")


def _strangers_of(connection: Connection, known: Fleet, name: str) -> list[str]:
    """Topics on which an agent has left strangers for the others of its site."""
    from edge_reid.mqtt.retained import read_retained

    connection.subscribe([known.strangers_filter(name)])
    return [message.topic for message in read_retained(connection.receive).messages if message.body]


def _print_json(members: Sequence[FleetMember]) -> None:
    import json

    from edge_reid.core.foreign_text import shown_json

    now = datetime.now(timezone.utc)
    for member in members:
        line = json.dumps(member_as_json(member, now), ensure_ascii=False, separators=(",", ":"))
        print(shown_json(line))


def member_as_json(member: FleetMember, now: datetime) -> dict[str, Any]:
    """What is known of an agent, in the words of its payloads."""
    presence = member.presence(now)
    return {
        "agent": member.name,
        "online": presence == "online",
        "presence": presence,
        "status": member.status.model_dump(by_alias=True) if member.status else None,
        "cameras": [status.model_dump(by_alias=True) for status in member.cameras.values()],
        "camera_states": [
            brief.model_dump(by_alias=True) if brief else {"camera": name, "state": None}
            for name, brief in member.camera_states.items()
        ],
        "update": member.update.model_dump(by_alias=True) if member.update else None,
        "duplicates": [other.model_dump(by_alias=True) for other in member.duplicates.values()],
    }


def _print_table(known: Fleet, chosen: _Choice, site: str) -> None:
    from edge_reid.cli.fleet_table import fleet_table
    from edge_reid.cli.output import count, print_whole

    members = chosen.members(known)
    if members:
        print_whole(fleet_table(members, site))
    elif known.members:
        typer.echo(f"{site}: none of {count(known.members, 'agent')} is what was asked for")
    else:
        typer.echo(f"no agent of site {site} has said anything to this broker")


def _follow(subscriber: Subscriber, known: Fleet, chosen: _Choice, site: str) -> None:
    from rich.live import Live

    from edge_reid.cli.fleet_table import fleet_table

    due_s = 0.0
    with Live(auto_refresh=False) as live:
        while True:
            if time.monotonic() >= due_s:
                table = fleet_table(chosen.members(known), site, subscriber.trouble)
                live.update(table, refresh=True)
                due_s = time.monotonic() + TICK_S
            if message := subscriber.receive(TICK_S):
                known.learn(message)
