"""`edge-reid sink`: every event into a database or a file, each once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from edge_reid.cli.login import Login, takes_login, topic_name

if TYPE_CHECKING:
    from edge_reid.messaging.sink import Sink

TURN_S = 0.5
"""How soon Ctrl-C and the count are noticed while nothing comes."""


@takes_login()
def sink(
    to: Annotated[
        str,
        typer.Option(
            metavar="WHERE",
            help="sqlite:///FILE, postgresql://user@host/database, FILE.jsonl, or - for stdout.",
        ),
    ],
    site: Annotated[str | None, typer.Option(help="Only this site. [default: all]")] = None,
    group: Annotated[
        str, typer.Option(help="Sinks of one group share the events among them.")
    ] = "sink",
    name: Annotated[
        str | None,
        typer.Option(help="Of this sink, unlike any other in its group. [default: host name]"),
    ] = None,
    confirm: Annotated[
        bool,
        typer.Option(help='Tell agents what is stored, for their outbox.delivered = "sink".'),
    ] = True,
    publisher_property: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="User property in which the broker tells who published an event: it must be the "
            "agent that the event names. [default: the broker tells nothing]",
        ),
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Leave after so many events.")] = None,
    *,
    login: Login,
) -> None:
    """Write hits and unknowns into a store, each event once, over restarts of everything.

    Several sinks share the load of a large site when they are given the same --group and each
    another --name. An event is acknowledged when the store has it on disk. Needs MQTT 5.
    """
    import signal
    import socket

    from edge_reid.core.config import agent_name
    from edge_reid.messaging.sink import Share, Sink
    from edge_reid.messaging.stores import open_store

    share = Share(
        login.root,
        topic_name("--site", site) if site else None,
        topic_name("--group", group),
        topic_name("--name", name) if name else agent_name(socket.gethostname()),
    )
    broker = login.broker()  # before a store is made that a wrong address would leave behind
    with (
        closing(open_store(to)) as store,
        Sink(
            broker, share, store, confirms=confirm, publisher_property=publisher_property
        ) as consumer,
        _until_asked() as asked,
    ):
        _consume(consumer, asked, count)
    tally = consumer.tally
    typer.echo(
        f"{tally.stored} events stored, {tally.again} were there already,"
        f" {tally.skipped} messages skipped",
        err=True,
    )
    if signal.SIGINT in asked:
        raise KeyboardInterrupt


def _consume(consumer: Sink, asked: list[int], count: int | None) -> None:
    """Turn until somebody asks to stop, or the count is reached; say what changes."""
    from rich.console import Console
    from rich.text import Text

    from edge_reid.core.foreign_text import shown

    console = Console(stderr=True)
    known_trouble = ""
    with console.status("waiting for events") as status:
        while not asked and (count is None or consumer.tally.stored < count):
            consumer.turn(TURN_S)
            status.update(f"{consumer.tally.stored} events stored")
            if consumer.trouble != known_trouble:
                known_trouble = consumer.trouble
                said = Text(shown(known_trouble), "yellow") if known_trouble else Text("well again")
                console.print(said, soft_wrap=True)
    consumer.finish()


@contextmanager
def _until_asked() -> Iterator[list[int]]:
    """Signals that asked to stop: what is in hand is stored before we leave."""
    import signal

    asked: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda got, _: asked.append(got)) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
