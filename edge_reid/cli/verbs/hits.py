"""`edge-reid hits`: who was where and when, from what a sink has stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from edge_reid.cli.options import JsonLinesOption, OnlySiteOption, storable

if TYPE_CHECKING:
    from edge_reid.consumers.event_query import EventQuery
    from edge_reid.wire.payloads import EventPayload


def hits(
    where: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="WHERE",
            help="sqlite:///FILE, postgresql://user@host/database, FILE.jsonl, or - for stdin.",
        ),
    ],
    who: Annotated[
        str | None, typer.Option(help="A person enrolled, or a stranger's name.")
    ] = None,
    site: OnlySiteOption = None,
    camera: Annotated[str | None, typer.Option(help="Only this camera. [default: all]")] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="From when on: 2026-03-01T12:00 (UTC), or 2h ago: 2h."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Until when, likewise.")] = None,
    limit: Annotated[
        int, typer.Option(min=1, callback=storable, help="Only the newest so many.")
    ] = 100,
    unknowns: Annotated[
        bool, typer.Option("--all", help="Also tracks that show nobody enrolled.")
    ] = False,
    every: Annotated[
        bool,
        typer.Option("--every-event", help="Not only what was last said of each track."),
    ] = False,
    zones: Annotated[
        bool,
        typer.Option("--zones", help="Who entered, left and loitered in zones, and crossed lines."),
    ] = False,
    as_json: JsonLinesOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV, with a line of titles.")] = False,
) -> None:
    """Show who was where and when. From what a sink has stored."""
    import time

    from edge_reid.cli.periods import moment_utc_s
    from edge_reid.cli.zone_table import show_sightings
    from edge_reid.consumers.event_query import EventQuery
    from edge_reid.consumers.store_urls import read_events
    from edge_reid.consumers.zone_query import ZoneQuery
    from edge_reid.core.errors import UsageError

    if as_json and as_csv:
        raise UsageError("--json, --csv: do not go together; leave one out")
    if zones and (unknowns or every):
        raise UsageError("--zones: goes with neither --all nor --every-event; leave one out")
    now_s = time.time()
    since_s = moment_utc_s("--since", since, now_s) if since else None
    until_s = moment_utc_s("--until", until, now_s) if until else None
    if zones:
        asked = ZoneQuery(who, site, camera, since_s, until_s, limit)
        sightings = read_events(where, asked)
        show_sightings(sightings, "csv" if as_csv else "json" if as_json else "table", limit)
        return
    query = EventQuery(
        who,
        site,
        camera,
        since_s,
        until_s,
        hits_only=not unknowns and who is None,
        last_of_tracks=not every,
        limit=limit,
    )
    events = read_events(where, query)
    show = _print_csv if as_csv else _print_json if as_json else _print_table
    show(events, query)


def _print_table(events: Sequence[EventPayload], query: EventQuery) -> None:
    from edge_reid.cli.output import print_table

    if not events:
        spelling = "; a name is written as it was enrolled" if query.who else ""
        typer.echo(f"nobody: no event there is what was asked for{spelling}", err=True)
        return
    print_table(
        ("first seen (UTC)", "last seen", "site", "camera", "who", "similarity", "track", "event"),
        [_cells(event) for event in events],
    )
    if len(events) == query.limit:
        typer.echo(f"the newest {query.limit}; --limit shows more", err=True)


def _cells(event: EventPayload) -> tuple[str, ...]:
    similarity = "–" if event.similarity is None else f"{event.similarity:.2f}"
    sign = "<" if event.identity is None else "≥"
    same_day = event.first_seen[:10] == event.last_seen[:10]
    return (
        event.first_seen[:19].replace("T", " "),
        event.last_seen[11:19] if same_day else event.last_seen[:19].replace("T", " "),
        event.site,
        event.camera,
        event.identity or event.stranger or "unknown",
        f"{similarity} {sign} {event.threshold:.2f}",
        f"#{event.track_id}",
        event.type,
    )


def _print_json(events: Sequence[EventPayload], _: EventQuery) -> None:
    from edge_reid.core.foreign_text import shown_json

    for event in events:
        print(shown_json(event.to_json()))


def _print_csv(events: Sequence[EventPayload], _: EventQuery) -> None:
    """The columns of the stores but `stored_at`. Text that a spreadsheet would run gets a `'`; the
    names of zones have a blank between them.
    """
    import csv
    import sys

    from edge_reid.cli.output import harmless
    from edge_reid.consumers.event_store import COLUMNS, row

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS[:-1])
    for event in events:
        writer.writerow([harmless(value) for value in row(event)[:-1]])
