"""`edge-reid sink`: every event into a database or a file, each once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_reid.cli.broker_options import BROKER_KEYS, BrokerLogin, takes_login, topic_name
from edge_reid.cli.options import CountOption, OnlySiteOption

if TYPE_CHECKING:
    from rich.console import Console

    from edge_reid.consumers.event_feed import EventFeed, Share
    from edge_reid.consumers.retention import Retention
    from edge_reid.consumers.sink import Sink
    from edge_reid.consumers.webhook_store import WebhookTarget

TURN_S = 0.5
"""How soon Ctrl-C and the count are noticed while nothing comes."""
SIGN_S = 60.0
"""Between two lines that say how many events are stored, where no terminal shows it."""


@takes_login()
def sink(
    to: Annotated[
        str,
        typer.Option(
            metavar="WHERE",
            help="sqlite:///FILE, postgresql://user@host/database, https://HOST/PATH, FILE.jsonl, "
            "or - for stdout.",
        ),
    ],
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="URL",
            help="nats://host:port or tls://host:port, of a cluster several hosts: events come "
            "from its JetStream, and --broker is its MQTT side. [default: from --broker]",
        ),
    ] = None,
    site: OnlySiteOption = None,
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
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="PERIOD",
            help="Delete what is older, such as 90d. [default: everything is kept]",
        ),
    ] = None,
    secret_file: Annotated[
        Path | None,
        typer.Option(help="Secret that signs what is POSTed to https://, 16 characters or more."),
    ] = None,
    to_ca_file: Annotated[
        Path | None,
        typer.Option(help="CA of the web server in --to. [default: those of the system]"),
    ] = None,
    quarantine: Annotated[
        Path, typer.Option(help="File of JSON lines: what the web server refuses for good.")
    ] = Path("quarantined-events.jsonl"),
    count: CountOption = None,
    *,
    login: BrokerLogin,
) -> None:
    """Store hits and unknowns, each event once.

    Several sinks share the load of a large site when they are given the same --group and each
    another --name. An event is acknowledged when the store has it on disk. Needs MQTT 5, or a NATS
    cluster in --from.
    """
    import signal

    from edge_reid.consumers.retention import Retention
    from edge_reid.consumers.sink import Sink
    from edge_reid.consumers.store_urls import open_store

    share = _share(login, site, group, name)
    keep_s = _kept_s(keep, to)
    webhook = _webhook(to, secret_file, to_ca_file, quarantine)
    # before a store is made that a wrong address would leave behind
    feed = _feed(from_, login, share, publisher_property)
    with (
        closing(open_store(to, webhook)) as store,
        Sink(feed, store, confirms=confirm, publisher_property=publisher_property) as consumer,
        _until_asked() as asked,
    ):
        what = f"events of {f'site {site}' if site else 'all sites'} from {feed.source.address}"
        task = f"storing {what} in {webhook or _shown(to)}"
        _consume(consumer, Retention(store, keep_s), asked, count, task)
    stats = consumer.stats
    typer.echo(
        f"{stats.stored} events stored, {stats.again} were there already,"
        f" {stats.skipped} messages skipped",
        err=True,
    )
    if signal.SIGINT in asked:
        raise KeyboardInterrupt


def _share(login: BrokerLogin, site: str | None, group: str, name: str | None) -> Share:
    """Which events come to this sink of its group."""
    import socket

    from edge_reid.consumers.event_feed import Share
    from edge_reid.core.config.agent_settings import agent_name

    return Share(
        login.root,
        topic_name("--site", site) if site else None,
        topic_name("--group", group),
        topic_name("--name", name) if name else agent_name(socket.gethostname()),
    )


def _kept_s(keep: str | None, to: str) -> float | None:
    """How long events are kept; None: for ever."""
    from edge_reid.cli.periods import period_s
    from edge_reid.consumers.store_urls import is_database
    from edge_reid.core.errors import UsageError

    if keep is None:
        return None
    keep_s = period_s("--keep", keep)
    if not is_database(to):
        raise UsageError(
            f"--keep: expected a database in --to, got {_shown(to)}, which only grows;"
            " rotate the file, or use sqlite:/// or postgresql://"
        )
    return keep_s


def _feed(
    from_: str | None, login: BrokerLogin, share: Share, publisher_property: str | None
) -> EventFeed:
    """Where events come from."""
    from edge_reid.cli.option_names import options_named
    from edge_reid.consumers.mqtt_feed import MqttFeed
    from edge_reid.core.errors import UsageError
    from edge_reid.core.extras import how_to_install

    if from_ is None:
        return MqttFeed(login.broker(), share)
    if publisher_property:
        raise UsageError(
            "--publisher-property: expected an MQTT 5 broker, got --from; NATS does not tell who"
            " published, its permissions see to it"
        )
    try:
        from edge_reid.consumers.nats_feed import NatsFeed, servers_of
    except ImportError as error:
        raise UsageError(
            f"--from: needs nats-py, not installed; {how_to_install('nats')}"
        ) from error
    with options_named(BROKER_KEYS, offered=BROKER_KEYS, called={"url": "--from"}):
        servers = servers_of(from_, asdict(login))
    return NatsFeed(servers, login.broker(), share)


def _webhook(
    to: str, secret_file: Path | None, ca_file: Path | None, quarantine: Path
) -> WebhookTarget | None:
    """The web server that events go to; None: they go to a database or a file."""
    from edge_reid.consumers.store_urls import is_web_server
    from edge_reid.consumers.webhook_signature import read_secret
    from edge_reid.consumers.webhook_store import WebhookTarget
    from edge_reid.core.errors import UsageError

    if not is_web_server(to):
        if secret_file or ca_file:
            raise UsageError("--secret-file, --to-ca-file: expected https://HOST/PATH in --to")
        return None
    if secret_file is None:
        raise UsageError(
            "--to https://…: expected --secret-file FILE, which signs what is sent; make one with:"
            " openssl rand -hex 32"
        )
    return WebhookTarget(to, read_secret(secret_file), quarantine, ca_file)


def _shown(to: str) -> str:
    """The kind of store, and its file; a database's address may hold what is nobody's business."""
    if to.startswith("http"):
        return "a web server"
    return "PostgreSQL" if to.startswith("postgres") else to


def _consume(
    consumer: Sink, retention: Retention, asked: list[int], count: int | None, task: str
) -> None:
    """Turn until somebody asks to stop, or the count is reached; say what changes."""
    from rich.console import Console

    console = Console(stderr=True)
    signs = _Signs(console, task)
    with console.status("connecting") as status:
        while not asked and (count is None or consumer.stats.stored < count):
            signs.show(consumer)
            status.update(f"{consumer.stats.stored} events stored{signs.since_last}")
            retention.turn()
            consumer.turn(TURN_S)
    signs.show(consumer)
    consumer.finish()


class _Signs:
    """Signs of life: what a sink is about, what is wrong, and now and then how far it is."""

    def __init__(self, console: Console, task: str) -> None:
        self._console = console
        self._task = task
        self._trouble = ""
        self._stored = 0
        self._last_s: float | None = None
        self._due_s = 0.0

    @property
    def since_last(self) -> str:
        """How long ago the last event came."""
        if self._last_s is None:
            return ""
        return f", the last {time.monotonic() - self._last_s:.0f} s ago"

    def show(self, consumer: Sink) -> None:
        """Whatever is new."""
        if consumer.is_connected and self._task:
            self._say(self._task)
            self._task = ""
        if consumer.trouble != self._trouble:
            self._trouble = consumer.trouble
            self._say(self._trouble or "well again", "yellow" if self._trouble else "")
        if consumer.stats.stored > self._stored:
            self._stored, self._last_s = consumer.stats.stored, time.monotonic()
        self._count()

    def _count(self) -> None:
        """The first event at once, later ones once a minute; a terminal shows the count anyway."""
        if self._stored and not self._console.is_terminal and time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + SIGN_S
            events = "event" if self._stored == 1 else "events"
            self._say(f"{self._stored} {events} stored{self.since_last}")

    def _say(self, line: str, style: str = "") -> None:
        from rich.text import Text

        self._console.print(Text(line, style), soft_wrap=True)


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
