"""`edge-reid watch`: hits as they arrive at a subscriber."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from edge_reid.cli.broker_options import BrokerLogin, takes_login, topic_name
from edge_reid.cli.options import CountOption, JsonLinesOption, OnlySiteOption

if TYPE_CHECKING:  # kept from `--help`, which answers at once
    from edge_reid.mqtt.message import Received
    from edge_reid.mqtt.subscriber import Subscriber
    from edge_reid.wire.payloads import AnyEvent

    Item: TypeAlias = tuple[bytes, AnyEvent] | None

TICK_S = 0.25
"""How often the screen is brought up to date while nothing arrives."""


@takes_login()
def watch(
    site: OnlySiteOption = None,
    camera: Annotated[str | None, typer.Option(help="Only this camera. [default: all]")] = None,
    unknowns: Annotated[
        bool, typer.Option("--all", help="Also tracks that show nobody enrolled.")
    ] = False,
    zones: Annotated[
        bool, typer.Option("--zones", help="Also who enters and leaves zones, and crosses lines.")
    ] = False,
    as_json: JsonLinesOption = False,
    count: CountOption = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Leave after so long.")
    ] = None,
    *,
    login: BrokerLogin,
) -> None:
    """Show hits live, as a subscriber gets them. Ctrl-C leaves."""
    from edge_reid.core.errors import BrokerError
    from edge_reid.mqtt.subscriber import Subscriber
    from edge_reid.wire.topics import HIT, TRACK_EVENTS, ZONE

    broker = login.broker()
    site = topic_name("--site", site) if site is not None else None
    camera = topic_name("--camera", camera) if camera is not None else None
    kinds = (*(TRACK_EVENTS if unknowns else (HIT,)), *((ZONE,) if zones else ()))
    filters = [topic.filter(login.root, site, camera=camera) for topic in kinds]
    show = _print_json if as_json else _show_table
    with Subscriber(broker, filters) as subscriber:
        seen = show(subscriber, login.root, count, timeout)
    if count and seen < count:
        raise BrokerError(f"{broker}: expected {count} events in {timeout} s, got {seen}")


def _follow(
    subscriber: Subscriber, root: str, count: int | None, timeout_s: float | None
) -> Iterator[Item]:
    """Events with their bytes as they come, and None at every tick without one."""
    import math
    import time

    from edge_reid.consumers.attribution import topic_mismatch
    from edge_reid.core.foreign_text import shown
    from edge_reid.wire.payloads import parse_event

    def skip(message: Received, what: str, reason: str) -> None:
        typer.echo(f"skipped {what}, on {shown(message.topic)}: {shown(reason)}", err=True)

    left = count or math.inf
    deadline_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
    while left and (rest_s := deadline_s - time.monotonic()) > 0:
        message = subscriber.receive(min(TICK_S, rest_s))
        if message is None:
            yield None
            continue
        try:
            event = parse_event(message.body)
        except ValueError as error:
            skip(message, "what is no event", str(error).splitlines()[0])
            continue
        if reason := topic_mismatch(event, message.topic, root):
            skip(message, "an event of another topic", reason)
            continue
        left -= 1
        yield message.body, event


def _saying_trouble(subscriber: Subscriber, items: Iterator[Item]) -> Iterator[Item]:
    """The same; and on standard error, once, what is wrong with the broker."""
    from edge_reid.core.foreign_text import shown

    known = ""
    for item in items:
        if subscriber.trouble != known:
            known = subscriber.trouble
            typer.echo(f"{shown(known)}; trying again" if known else "well again", err=True)
        yield item


def _say_watching(subscriber: Subscriber) -> None:
    """On standard error, since a pipe gets events only: from now on none is missed."""
    import sys

    print(f"watching {', '.join(subscriber.filters)}", file=sys.stderr, flush=True)


def _print_json(
    subscriber: Subscriber, root: str, count: int | None, timeout_s: float | None
) -> int:
    import json
    import sys

    from edge_reid.core.foreign_text import shown_json

    _say_watching(subscriber)
    seen = 0
    for item in _saying_trouble(subscriber, _follow(subscriber, root, count, timeout_s)):
        if item is not None:
            seen += 1
            content = json.loads(item[0])  # anew, since others may send it over several lines
            print(shown_json(json.dumps(content, ensure_ascii=False, separators=(",", ":"))))
            sys.stdout.flush()
    return seen


def _print_lines(subscriber: Subscriber, items: Iterator[Item]) -> int:
    """A line an event, each at once, for a pipe or a log."""
    from edge_reid.cli.hit_table import event_text

    _say_watching(subscriber)
    seen = 0
    for item in _saying_trouble(subscriber, items):
        if item is not None:
            seen += 1
            print(event_text(item[1]), flush=True)
    return seen


def _show_table(
    subscriber: Subscriber, root: str, count: int | None, timeout_s: float | None
) -> int:
    from rich.console import Console
    from rich.live import Live

    from edge_reid.cli.hit_table import HitTable

    console = Console()
    table = HitTable(rows=max(5, console.height - 8), title=", ".join(subscriber.filters))
    events = _follow(subscriber, root, count, timeout_s)
    if not console.is_terminal:
        return _print_lines(subscriber, events)
    with Live(table, console=console, auto_refresh=False) as live:
        for item in events:
            if item is not None:
                table.add(item[1])
            table.note = subscriber.trouble
            live.refresh()
    return table.count
