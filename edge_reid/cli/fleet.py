"""`edge-reid fleet`: every agent of a site, from what they left on the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_reid.cli.login import Login, takes_login, topic_name

if TYPE_CHECKING:
    from edge_reid.messaging.fleet import Fleet, Member
    from edge_reid.messaging.subscribe import Subscriber

QUIET_S = 0.5
"""When nothing has come for so long, all that is retained has."""
TICK_S = 0.5
"""How often the screen is brought up to date."""


@takes_login()
def fleet(
    site: Annotated[str, typer.Option(help="The site.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object an agent, a line each.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and follow what changes. Ctrl-C leaves.")
    ] = False,
    *,
    login: Login,
) -> None:
    """Show every agent of a site: online, release, gallery, outbox, cameras, names taken twice."""
    from edge_reid.core.errors import UsageError
    from edge_reid.messaging.fleet import Fleet, fleet_filters
    from edge_reid.messaging.subscribe import Subscriber

    if as_json and watch:
        raise UsageError("--json: does not go with --watch; leave one out")
    broker, site = login.broker(), topic_name("--site", site)
    known = Fleet(login.root, site)
    with Subscriber(broker, fleet_filters(login.root, site)) as subscriber:
        while message := subscriber.receive(QUIET_S):
            known.learn(message)
        if watch:
            _follow(subscriber, known, site)
        elif as_json:
            _print_json(known)
        else:
            _print_table(known, site)


def _print_json(known: Fleet) -> None:
    import json

    for member in known.members:
        print(json.dumps(member_as_json(member), ensure_ascii=False, separators=(",", ":")))


def member_as_json(member: Member) -> dict[str, Any]:
    """What is known of an agent, in the words of its payloads."""
    return {
        "agent": member.name,
        "online": member.is_online,
        "status": member.status.model_dump(by_alias=True) if member.status else None,
        "cameras": [it.model_dump(by_alias=True) for it in member.cameras.values()],
        "update": member.update.model_dump(by_alias=True) if member.update else None,
        "duplicates": [it.model_dump(by_alias=True) for it in member.duplicates.values()],
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
