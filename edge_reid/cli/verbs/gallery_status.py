"""`edge-reid gallery status`: which devices have the newest gallery, and why others have not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_reid.cli.broker_options import BrokerLogin, takes_login, topic_name
from edge_reid.cli.options import SiteOption

if TYPE_CHECKING:
    from edge_reid.consumers.fleet import Fleet, FleetMember
    from edge_reid.gallery.tree import Erasure
    from edge_reid.mqtt.broker import Broker
    from edge_reid.signing.keys import PublicKey


@takes_login()
def status(
    site: SiteOption,
    public_key: Annotated[
        Path,
        typer.Option(metavar="FILE", help="The public key that the devices pin."),
    ],
    path: Annotated[
        Path | None,
        typer.Option("--gallery", "-g", help="Also show who has confirmed its erasures."),
    ] = None,
    *,
    login: BrokerLogin,
) -> None:
    """Show which gallery every device has. Version, age, erasures, why it is not the newest."""
    from edge_reid.gallery.store import GalleryStore
    from edge_reid.signing.keys import read_public_key

    broker, site = login.broker(), topic_name("--site", site)
    key = read_public_key(public_key)
    erasures: Sequence[Erasure] = ()
    if path:
        with GalleryStore.open(path) as store:
            erasures = store.erasures()
    fleet, signed_head = _listen(broker, login.root, site)
    newest = _say_published(signed_head, key, site)
    _print_table(fleet, newest)
    for line in erasure_lines(erasures, fleet):
        typer.echo(line)


def _listen(broker: Broker, root: str, site: str) -> tuple[Fleet, bytes | None]:
    """What is retained of the site: its agents, and the head of its gallery."""
    from edge_reid.consumers.fleet import Fleet
    from edge_reid.mqtt.retained import read_retained
    from edge_reid.mqtt.subscriber import Subscriber
    from edge_reid.wire.topics import AGENT_STATUS, GALLERY_HEAD

    fleet = Fleet(root, site)
    head_topic = GALLERY_HEAD.name(root, site)
    statuses = AGENT_STATUS.filter(root, site)  # all that a publisher's login may read
    with Subscriber(broker, [statuses, head_topic]) as subscriber:
        retained = read_retained(subscriber.receive)
    fleet.learn_all(retained.messages)
    if not retained.is_whole:
        typer.echo(f"{site}: more is retained than can be shown; some of it is missing", err=True)
    return fleet, retained.body(head_topic)


def _say_published(signed_head: bytes | None, key: PublicKey, site: str) -> int | None:
    """The version on the broker, if its head is one that devices take."""
    from edge_reid.cli.fleet_table import age_text
    from edge_reid.core.errors import SnapshotError
    from edge_reid.core.foreign_text import shown
    from edge_reid.gallery.gallery_head import open_head
    from edge_reid.wire.events import rfc3339

    if signed_head is None:
        typer.echo(f"{site}: no gallery is published on this broker")
        return None
    try:
        head = open_head(signed_head, key)
    except SnapshotError as error:
        typer.echo(f"{site}: what is published is refused by every device: {shown(str(error))}")
        return None
    age = age_text(rfc3339(head.created_utc_s), datetime.now(timezone.utc))
    typer.echo(
        f"{site}: version {head.version} was published {age} ago, {head.identities} identities "
        f"with {head.templates} templates"
    )
    return head.version


def _print_table(fleet: Fleet, newest: int | None) -> None:
    from rich.table import Table

    from edge_reid.cli.output import print_whole

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("agent", "state", "version", "age", "checked", "erased through"):
        table.add_column(title, overflow="fold")
    table.add_column("why not the newest", overflow="fold")
    for member in fleet.members:
        table.add_row(*status_cells(member, newest, datetime.now(timezone.utc)))
    print_whole(table)


def status_cells(member: FleetMember, newest: int | None, now: datetime) -> tuple[str, ...]:
    """A row of the table."""
    from rich.markup import escape

    from edge_reid.cli.fleet_table import age_text
    from edge_reid.core.foreign_text import shown

    presence = member.presence(now)
    state = "offline" if presence in {"lost", "unknown"} else presence
    if member.status is None or member.status.gallery is None:
        return member.name, state, "–", "–", "–", "–", "does not sync"
    gallery = member.status.gallery
    moments = gallery.created_at, gallery.checked_at
    ages = (age_text(moment, now) if moment else "–" for moment in moments)
    why = why_behind(member, newest, now)
    version, erased = str(gallery.version), str(gallery.erased_through)
    return (member.name, state, version, *ages, erased, escape(shown(why)))


def why_behind(member: FleetMember, newest: int | None, now: datetime) -> str:
    """Why a device has not the newest gallery; empty when it has."""
    status = member.status
    if status is None or status.gallery is None:
        return "does not sync"
    if status.gallery.refused:
        return status.gallery.refused
    if newest is None or status.gallery.version >= newest:
        return ""
    if (presence := member.presence(now)) == "silent":
        return f"silent since {status.at}"
    return "on its way" if presence == "online" else f"offline: {status.reason or 'unknown why'}"


def erasure_lines(erasures: Sequence[Erasure], fleet: Fleet) -> Iterator[str]:
    """Who has confirmed each erasure."""
    devices = {
        member.name: member.status.gallery.erased_through
        for member in fleet.members
        if member.status and member.status.gallery
    }
    for erasure in erasures:
        when = datetime.fromtimestamp(erasure.erased_utc_s, timezone.utc)
        waiting = [name for name, through in devices.items() if through < erasure.version]
        confirmed = f"confirmed by {len(devices) - len(waiting)} of {len(devices)}"
        rest = f", not by {', '.join(waiting)}" if waiting else ""
        yield (
            f"erased {when:%Y-%m-%d %H:%M} UTC, version {erasure.version}, "
            f"{erasure.digest[:8]}: {confirmed}{rest}"
        )
