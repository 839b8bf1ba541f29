"""What was said of each track, against whom it showed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from edge_reid.core.geometry import Box
from edge_reid.scoring.ground_truth import GroundTruth
from edge_reid.scoring.label_lookup import LabelLookup
from edge_reid.wire.payloads import EventPayload, utc_s


class NameVerdict(Enum):
    """Whether a name was the right one."""

    RIGHT = "right"
    WRONG = "wrong"
    UNCLEAR = "unclear"
    """The labels do not say who stood there."""


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """An event, and whom its box shows."""

    event: EventPayload
    frame: float
    """Of `captured_at`."""
    decided_frame: float
    shown: str | None
    """None: somebody not labelled there and then."""
    verdict: NameVerdict | None
    """Of the name; None for an unknown."""

    @property
    def visit(self) -> tuple[str, str, int]:
        """What makes it, to a consumer, of the same person passing: site, agent, first track."""
        event = self.event
        return event.site, event.agent, event.continues or event.track_id


@dataclass(frozen=True, slots=True)
class ShownTrack:
    """A track as a consumer heard of it."""

    events: tuple[ShownEvent, ...]
    """By the time of their pictures."""

    @property
    def shown(self) -> str | None:
        """Whom most of its events show; None: nobody labelled."""
        seen = Counter(event.shown for event in self.events if event.shown is not None)
        return max(seen, key=lambda name: seen[name], default=None)

    @property
    def is_mixed(self) -> bool:
        """Whether it shows one labelled person and then another."""
        return len({event.shown for event in self.events} - {None}) > 1

    @property
    def last_name(self) -> str | None:
        """What it was last said to be; None: unknown."""
        last = max(self.events, key=lambda event: (event.decided_frame, event.event.seq))
        return last.event.identity

    @property
    def names(self) -> dict[str, NameVerdict]:
        """Every name that it was given, each once, by what most of its events say."""
        verdicts: defaultdict[str, Counter[NameVerdict]] = defaultdict(Counter)
        for event in self.events:
            if event.event.identity is not None and event.verdict is not None:
                verdicts[event.event.identity][event.verdict] += 1
        return {name: _most(counts) for name, counts in verdicts.items()}


def shown_tracks(events: Iterable[EventPayload], truth: GroundTruth) -> tuple[ShownTrack, ...]:
    """The tracks of one camera, by the time of their first picture."""
    labels = LabelLookup(truth)
    by_track: defaultdict[tuple[str, str, int, str], list[ShownEvent]] = defaultdict(list)
    for event in events:
        if event.type == "correction":  # the event that it takes back stays a mistake
            continue
        key = event.site, event.agent, event.track_id, event.first_seen
        by_track[key].append(_shown(event, truth, labels))
    tracks = (ShownTrack(_by_time(found)) for found in by_track.values())
    return tuple(sorted(tracks, key=lambda track: track.events[0].frame))


def _by_time(events: Sequence[ShownEvent]) -> tuple[ShownEvent, ...]:
    return tuple(sorted(events, key=lambda event: (event.frame, event.event.seq)))


def _shown(event: EventPayload, truth: GroundTruth, labels: LabelLookup) -> ShownEvent:
    frame = round(truth.frame_at(utc_s(event.captured_at)), 3)  # of times to the millisecond
    shown = labels.identity_in(Box(*event.box), frame)
    return ShownEvent(
        event,
        frame,
        truth.frame_at(utc_s(event.decided_at)),
        shown,
        _verdict(event.identity, shown, frame, labels) if event.identity else None,
    )


def _verdict(name: str, shown: str | None, frame: float, labels: LabelLookup) -> NameVerdict:
    if shown is not None:
        return NameVerdict.RIGHT if shown == name else NameVerdict.WRONG
    found = labels.visit_of(name, frame)
    if found is None:  # whoever it is: not somebody who is away
        return NameVerdict.WRONG
    return NameVerdict.UNCLEAR if found[1].boxes else NameVerdict.RIGHT


def _most(counts: Counter[NameVerdict]) -> NameVerdict:
    """Right needs more than half of what is clear."""
    if counts[NameVerdict.RIGHT] > counts[NameVerdict.WRONG]:
        return NameVerdict.RIGHT
    return NameVerdict.WRONG if counts[NameVerdict.WRONG] else NameVerdict.UNCLEAR
