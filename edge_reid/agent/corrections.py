"""Published names that turn out wrong: which correction goes ahead of which event.

A track that was published as one person and is now decided to be another, or nobody, has its first
name taken back; so has one whose person is removed from the gallery, and one of which an operator
says that it was somebody else.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace

from edge_reid.core.types import Embedding, HitType, Known
from edge_reid.matching.fusion import mean_vector
from edge_reid.wire.events import Event, EventOrigin, event_id
from edge_reid.wire.payloads import Corrector

ENDED_KEPT = 200
"""Ended tracks of a camera whose name can still be taken back."""
_IDS_KEPT = 2000


@dataclass(frozen=True, slots=True)
class PublishedName:
    """A name that a track of a camera was published under."""

    camera: str
    track_id: int
    identity: str


class Corrections:
    """What was last published of the tracks of one camera that show somebody known."""

    def __init__(self) -> None:
        self._published: dict[int, Event] = {}  # by open track
        self._ended: OrderedDict[int, Event] = OrderedDict()  # by track
        self._names: OrderedDict[str, PublishedName] = OrderedDict()  # by event id

    def with_correction(self, event: Event) -> tuple[Event, ...]:
        """An event that is to be published, and ahead of it the correction that it makes due."""
        hit = event.hit
        before = self._published.pop(hit.track_id, None)
        name = _name_in(event)
        if name is not None:
            self._remember(event, name)
        if before is None or _name_in(before) == name:
            return (event,)
        seen_utc_s = hit.last_seen_utc_s
        return (
            _correction(before, event.origin, hit.decided_utc_s, seen_utc_s, by="decision"),
            event,
        )

    def of_removed(
        self, enrolled: Container[str], origin: EventOrigin, now_utc_s: float
    ) -> list[Event]:
        """Corrections of all in view who are not enrolled any more; the others are forgotten."""
        gone = [event for event in self._published.values() if _name_in(event) not in enrolled]
        self._published = _enrolled(self._published, enrolled)
        self._ended = OrderedDict(_enrolled(self._ended, enrolled))
        kept = ((key, name) for key, name in self._names.items() if name.identity in enrolled)
        self._names = OrderedDict(kept)
        return [
            _correction(event, origin, now_utc_s, event.hit.last_seen_utc_s, by="removal")
            for event in gone
        ]

    def published_as(self, its_event_id: str) -> PublishedName | None:
        """The name that an event told; None: it told none, or not lately, or it was taken back."""
        return self._names.get(its_event_id)

    def of_wrong(self, name: PublishedName) -> list[Event]:
        """The last events that told a wrong name, of that track and of the others of that visit;
        empty: the name is not published, or was taken back. They count as taken back now.
        """
        told = self._published.get(name.track_id) or self._ended.get(name.track_id)
        if told is None or _name_in(told) != name.identity:
            return []
        visit = visit_of(told)
        wrong = [event for event in self._all if is_of(event, visit, name.identity)]
        for event in wrong:
            self._forget(event)
        return wrong

    @property
    def _all(self) -> Iterator[Event]:
        yield from self._ended.values()
        yield from self._published.values()

    def _remember(self, event: Event, identity: str) -> None:
        track_id = event.hit.track_id
        if event.hit.type is HitType.END:
            self._ended[track_id] = _with_their_mean(event)
        else:
            self._published[track_id] = event
        told = PublishedName(event.origin.camera, track_id, identity)
        self._names[event_id(event.hit, event.origin)] = told
        while len(self._ended) > ENDED_KEPT:
            _, oldest = self._ended.popitem(last=False)
            self._forget_ids(oldest)
        while len(self._names) > _IDS_KEPT:
            self._names.popitem(last=False)

    def _forget(self, event: Event) -> None:
        self._published.pop(event.hit.track_id, None)
        self._ended.pop(event.hit.track_id, None)
        self._forget_ids(event)

    def _forget_ids(self, event: Event) -> None:
        told = PublishedName(event.origin.camera, event.hit.track_id, _name_in(event) or "")
        for key in [key for key, name in self._names.items() if name == told]:
            del self._names[key]


def visit_of(event: Event) -> int:
    """The number of the track that the visit of an event began as."""
    return event.hit.continues or event.hit.track_id


def is_of(event: Event, visit: int, identity: str) -> bool:
    """Whether an event told this name of this visit."""
    return visit_of(event) == visit and _name_in(event) == identity


def operators_correction(wrong: Event, origin: EventOrigin, now_utc_s: float) -> Event:
    """Takes an event back, as an operator says."""
    return _correction(wrong, origin, now_utc_s, wrong.hit.last_seen_utc_s, by="operator")


def _with_their_mean(event: Event) -> Event:
    """The event with one embedding that stands for all of its own: as many are kept for hours, and
    each of theirs would keep those of all that were embedded with it.
    """
    if not event.hit.embeddings:
        return event
    model_id = event.hit.embeddings[0].model_id
    mean = mean_vector(event.hit.embeddings, model_id)
    kept = () if mean is None else (Embedding(mean, model_id, quality=1.0),)
    return replace(event, hit=replace(event.hit, embeddings=kept))


def _name_in(event: Event) -> str | None:
    decision = event.hit.decision
    return decision.identity if isinstance(decision, Known) else None


def _enrolled(events: dict[int, Event], enrolled: Container[str]) -> dict[int, Event]:
    return {key: event for key, event in events.items() if _name_in(event) in enrolled}


def _correction(
    wrong: Event,
    origin: EventOrigin,
    decided_utc_s: float,
    last_seen_utc_s: float,
    *,
    by: Corrector,
) -> Event:
    """An event that takes another one back."""
    hit = replace(
        wrong.hit,
        type=HitType.CORRECTION,
        decided_utc_s=decided_utc_s,
        last_seen_utc_s=last_seen_utc_s,
    )
    return Event(hit, origin, corrects=event_id(wrong.hit, wrong.origin), corrected_by=by)
