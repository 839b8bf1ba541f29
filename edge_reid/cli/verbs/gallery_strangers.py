"""`edge-reid gallery strangers`: unknown people whom a device remembers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated

import typer

from edge_reid.cli.options import DEFAULT_STRANGERS, JsonArrayOption, StrangersOption

if TYPE_CHECKING:
    from edge_reid.strangers.stranger import Stranger


def strangers(
    path: StrangersOption = DEFAULT_STRANGERS,
    forget: Annotated[
        list[str] | None,
        typer.Option(metavar="ANON", help="Overwrite this one now. Repeatable."),
    ] = None,
    as_json: JsonArrayOption = False,
) -> None:
    """Show unknown people whom a device remembers. Where, when, how often, and until when."""
    from edge_reid.strangers.stranger_store import StrangerStore

    with StrangerStore.open(path) as store:
        for name in forget or ():
            store.forget(name)
            typer.echo(f"{name}: forgotten, and overwritten in the file", err=as_json)
        if forget and not as_json:
            return
        people = store.strangers()
    if as_json:
        _print_json(people)
    else:
        _print_table(people)


def _print_json(people: Sequence[Stranger]) -> None:
    from edge_reid.cli.output import print_json

    rows = [
        {
            "stranger": each.name,
            "camera": each.camera,
            "times_seen": each.times_seen,
            "first_seen_utc_s": each.first_seen_utc_s,
            "last_seen_utc_s": each.last_seen_utc_s,
            "forgotten_utc_s": each.forgotten_utc_s,
        }
        for each in people
    ]
    print_json(rows)


def _print_table(people: Sequence[Stranger]) -> None:
    from edge_reid.cli.output import print_table

    rows = []
    for each in sorted(people, key=lambda person: person.last_seen_utc_s, reverse=True):
        moments = (each.first_seen_utc_s, each.last_seen_utc_s, each.forgotten_utc_s)
        rows.append((each.name, f"{each.times_seen} ×", each.camera, *map(_when, moments)))
    titles = ("stranger", "seen", "camera", "first seen", "last seen", "forgotten")
    print_table(titles, rows)
    typer.echo(f"{len(people)} {'person' if len(people) == 1 else 'people'} remembered, all UTC")


def _when(utc_s: float) -> str:
    return datetime.fromtimestamp(utc_s, timezone.utc).strftime("%m-%d %H:%M:%S")
