"""`edge-reid score`: how well a camera named people, against labels made by eye."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_reid.cli.options import AnyGalleryOption, JsonOption

if TYPE_CHECKING:
    from edge_reid.scoring.ground_truth import GroundTruth
    from edge_reid.scoring.scorecard import Scorecard
    from edge_reid.wire.payloads import EventPayload

LATE_S = 60.0
"""After the end of a recording its last decisions may come so late."""


def score(
    events: Annotated[
        str,
        typer.Argument(
            metavar="EVENTS",
            help="What `run --events` wrote, or a sink: FILE.jsonl, sqlite:///FILE or "
            "postgresql://user@host/database.",
        ),
    ],
    truth: Annotated[
        Path,
        typer.Argument(metavar="TRUTH", help="Labels made by eye, who was in view when: JSON."),
    ],
    gallery: AnyGalleryOption = None,
    camera: Annotated[
        str | None, typer.Option(help="Whose events, where there are several cameras.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how well a camera named people. Against a recording labelled by eye."""
    from edge_reid.cli.output import print_json
    from edge_reid.scoring.ground_truth import load_truth
    from edge_reid.scoring.scorer import score_events

    labels = load_truth(truth)
    found = _events_of_one_camera(events, camera, labels)
    card = score_events(found, labels, _enrolled(gallery) if gallery else None)
    if as_json:
        print_json(scorecard_as_json(card))
    else:
        _print(card)


def _events_of_one_camera(
    where: str, camera: str | None, labels: GroundTruth
) -> list[EventPayload]:
    """All that were decided during the recording."""
    from edge_reid.consumers.event_query import EventQuery
    from edge_reid.consumers.store_urls import read_events
    from edge_reid.core.errors import UsageError
    from edge_reid.wire.events import rfc3339

    begin_s, end_s = labels.start_utc_s, labels.start_utc_s + labels.duration_s + LATE_S
    query = EventQuery(camera=camera, since_utc_s=begin_s, until_utc_s=end_s)
    events = read_events(where, query, "EVENTS")
    cameras = sorted({event.camera for event in events})
    if not cameras:
        raise UsageError(
            f"EVENTS: expected some of {camera or 'a camera'} between {rfc3339(begin_s)} and "
            f"{rfc3339(end_s)}, got none; is start_time in the truth the time of frame 0?"
        )
    if len(cameras) > 1:
        raise UsageError(
            f"--camera: expected one of {', '.join(cameras)}, got none; a truth is of one camera"
        )
    return events


def _enrolled(gallery: Path) -> frozenset[str]:
    from edge_reid.gallery.store import GalleryStore

    with GalleryStore.open(gallery) as store:
        return frozenset(person.identity for person in store.identities())


def scorecard_as_json(card: Scorecard) -> dict[str, Any]:
    """Every figure, and what it is made of."""
    from dataclasses import asdict

    return {
        "precision": card.precision,
        "recall": card.recall,
        "wrong_names_per_hour": card.wrong_names_per_hour,
        "missed_visits": len(card.missed_visits),
        "delay_median_s": card.delay_median_s,
        "delay_max_s": card.delay_max_s,
        **asdict(card),
    }


def _print(card: Scorecard) -> None:
    from edge_reid.cli.output import print_table

    print_table(("figure", "", "made of"), _rows(card))
    for wrong in card.wrong_names:
        who = wrong.shown or "somebody not labelled"
        typer.echo(
            f"wrong: track {wrong.track_id} shows {who}, said {wrong.said}, frame {wrong.frame}"
        )
    for visit in card.missed_visits:
        typer.echo(f"missed: {visit.identity}, frames {visit.first_frame} to {visit.last_frame}")


def _rows(card: Scorecard) -> list[tuple[str, str, str]]:
    clear = card.hits_right + card.hits_wrong
    unclear = f"; {card.hits_unclear} more unclear" if card.hits_unclear else ""
    visits = len(card.visits)
    named = visits - len(card.missed_visits)
    return [
        (
            "precision",
            _percent(card.precision),
            f"{card.hits_right} of {clear} hits right{unclear}",
        ),
        (
            "recall",
            _percent(card.recall),
            f"{card.tracks_named_right} of {card.tracks_of_enrolled} tracks of people enrolled",
        ),
        ("visits named", _percent(named / visits if visits else None), f"{named} of {visits}"),
        (
            "delay to the right name",
            _seconds(card.delay_median_s),
            f"median; {_seconds(card.delay_max_s)} at most",
        ),
        (
            "wrong names",
            f"{card.wrong_names_per_hour:.1f}/h",
            f"{card.hits_wrong} in {card.duration_s:.0f} s",
        ),
        (
            "unknowns named",
            str(card.unknowns_named),
            f"of {card.tracks_of_others} tracks of people not enrolled",
        ),
        ("ID switches", str(card.id_switches), f"{card.tracks_mixed} tracks show two people"),
    ]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _seconds(delay_s: float | None) -> str:
    return "–" if delay_s is None else f"{delay_s:.1f} s"
