"""What was said of each track, against whom it showed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from edge_reid.core.geometry import Box
from edge_reid.scoring.ground_truth import GroundTruth
from edge_reid.scoring.label_lookup import LabelLookup
from edge_reid.wire.payloads import EventPayload, utc_s

_TrackKey: TypeAlias = tuple[str, str, int, str]
"""Site, agent, number and first sight: numbers begin anew with the agent."""


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
    """By the time of their pictures; without corrections."""
    taken_back: tuple[str, int] = ("", 0)
    """When, and by which `seq`, a name was last taken back; the event that had it stays."""

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
        """What it was last said to be; None: unknown, or what was said is taken back."""
        last = max((shown.event for shown in self.events), key=_when_said)
        return last.identity if _when_said(last) > self.taken_back else None

    @property
    def names(self) -> dict[str, NameVerdict]:
        """Every name that it was given, each once, by what most of its events say."""
        verdicts: defaultdict[str, Counter[NameVerdict]] = defaultdict(Counter)
        for event in self.events:
            if event.event.identity is not None and event.verdict is not None:
                verdicts[event.event.identity][event.verdict] += 1
        return {name: _most(counts) for name, counts in verdicts.items()}


def shown_tracks(events: Iterable[EventPayload], truth: GroundTruth) -> tuple[ShownTrack, ...]:
    """The tracks of one camera, by the time of their first picture. What shows a moment before or
    after the recording is left out: a camera that is live goes on.
    """
    labels = LabelLookup(truth)
    by_track: defaultdict[_TrackKey, list[ShownEvent]] = defaultdict(list)
    taken_back: dict[_TrackKey, tuple[str, int]] = {}
    for event in events:
        key = event.site, event.agent, event.track_id, event.first_seen
        if event.type == "correction":
            taken_back[key] = max(taken_back.get(key, ("", 0)), _when_said(event))
        elif truth.spans(frame := _frame_of(event, truth)):
            by_track[key].append(_shown(event, frame, truth, labels))
    tracks = (
        ShownTrack(_by_time(found), taken_back.get(key, ("", 0))) for key, found in by_track.items()
    )
    return tuple(sorted(tracks, key=lambda track: track.events[0].frame))


def _when_said(event: EventPayload) -> tuple[str, int]:
    """By which what was said of a track is in order: times of one form, then numbers."""
    return event.decided_at, event.seq


def _by_time(events: Sequence[ShownEvent]) -> tuple[ShownEvent, ...]:
    return tuple(sorted(events, key=lambda event: (event.frame, event.event.seq)))


def _frame_of(event: EventPayload, truth: GroundTruth) -> float:
    return round(truth.frame_at(utc_s(event.captured_at)), 3)  # of times to the millisecond


def _shown(
    event: EventPayload, frame: float, truth: GroundTruth, labels: LabelLookup
) -> ShownEvent:
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
