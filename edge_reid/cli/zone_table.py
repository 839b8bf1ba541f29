"""Who was at zones and lines: as a table, as JSON lines, or as CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import typer

from edge_reid.cli.output import harmless, print_table
from edge_reid.consumers.zone_query import ZoneSighting
from edge_reid.consumers.zone_rows import ZONE_COLUMNS, zone_row
from edge_reid.core.foreign_text import shown_json
from edge_reid.wire.payloads import utc_s


def show_sightings(
    sightings: Sequence[ZoneSighting], form: Literal["table", "json", "csv"], limit: int
) -> None:
    """Print them, oldest first."""
    if form == "json":
        for sighting in sightings:
            content = {**json.loads(sighting.event.to_json()), "who": sighting.who}
            print(shown_json(json.dumps(content, ensure_ascii=False)))
    elif form == "csv":
        _print_csv(sightings)
    elif sightings:
        titles = "time (UTC)", "site", "camera", "where", "event", "after", "who", "track"
        print_table(titles, [_cells(sighting) for sighting in sightings])
    else:
        typer.echo("nobody: no event there is what was asked for", err=True)
    if form == "table" and len(sightings) == limit:
        typer.echo(f"the newest {limit}; --limit shows more", err=True)


def _cells(sighting: ZoneSighting) -> tuple[str, ...]:
    event = sighting.event
    return (
        event.at[:19].replace("T", " "),
        event.site,
        event.camera,
        str(event.zone or event.line),
        f"{event.type} {event.direction or ''}".rstrip(),
        _after(sighting),
        sighting.who or "–",
        f"#{event.track_id}",
    )


def _after(sighting: ZoneSighting) -> str:
    """How long they had been in the zone: `0:01:30`."""
    event = sighting.event
    if event.entered_at is None:
        return "–"
    return str(timedelta(seconds=round(utc_s(event.at) - utc_s(event.entered_at))))


def _print_csv(sightings: Sequence[ZoneSighting]) -> None:
    """The columns of the stores but `stored_at`, and who it was."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*ZONE_COLUMNS[:-1], "who"])
    for sighting in sightings:
        values = *zone_row(sighting.event)[:-1], sighting.who
        writer.writerow([harmless(value) for value in values])
