"""Counts a scorecard from the events of a camera and the truth of its recording."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from edge_reid.scoring.ground_truth import GroundTruth, LabelledPerson, LabelledVisit
from edge_reid.scoring.label_lookup import EDGE_S
from edge_reid.scoring.scorecard import Scorecard, VisitScore, WrongName
from edge_reid.scoring.track_verdicts import NameVerdict, ShownTrack, shown_tracks
from edge_reid.wire.payloads import EventPayload


def score_events(
    events: Sequence[EventPayload], truth: GroundTruth, enrolled: Collection[str] | None = None
) -> Scorecard:
    """Compare the events of one camera with the truth.

    Args:
        events: what shows another time than the recording's is left out.
        truth: who was in view when.
        enrolled: names in the gallery; None: as the truth says.
    """
    return _Scorer(shown_tracks(events, truth), truth, enrolled).scorecard()


class _Scorer:
    def __init__(
        self,
        tracks: Sequence[ShownTrack],
        truth: GroundTruth,
        enrolled: Collection[str] | None,
    ) -> None:
        self._tracks = tracks
        self._truth = truth
        self._people = {person.identity: person for person in truth.people}
        self._enrolled = (
            {person.identity for person in truth.people if person.enrolled}
            if enrolled is None
            else set(enrolled)
        )

    def scorecard(self) -> Scorecard:
        hits = [
            (track, name, verdict)
            for track in self._tracks
            for name, verdict in track.names.items()
        ]
        right = [(track, name) for track, name, verdict in hits if verdict is NameVerdict.RIGHT]
        tested = [track for track, name in right if self._is_test(track, name)]
        wrong = tuple(self._wrong_names(hits))
        of_enrolled = [
            track
            for track in self._tracks
            if track.shown in self._enrolled and self._is_test(track, track.shown)
        ]
        of_others = [
            track for track in self._tracks if track.shown and track.shown not in self._enrolled
        ]
        return Scorecard(
            duration_s=self._truth.duration_s,
            hits_right=len(tested),
            hits_wrong=len(wrong),
            hits_unclear=sum(verdict is NameVerdict.UNCLEAR for *_, verdict in hits),
            hits_at_enrolment=len(right) - len(tested),
            tracks_of_enrolled=len(of_enrolled),
            tracks_named_right=sum(track.last_name == track.shown for track in of_enrolled),
            tracks_of_others=len(of_others),
            unknowns_named=sum(bool(track.names) for track in of_others),
            tracks_mixed=sum(track.is_mixed for track in self._tracks),
            id_switches=self._id_switches(),
            visits=tuple(self._visits()),
            wrong_names=wrong,
        )

    def _is_test(self, track: ShownTrack, name: str | None) -> bool:
        """Whether a track shows a person in a visit of which the gallery has no photo."""
        person = self._people.get(name or "")
        if person is None:
            return True
        edge = self._truth.fps * EDGE_S
        frames = [event.frame for event in track.events if event.shown in {name, None}]
        visits = [v for v in person.visits if any(v.spans(frame, edge) for frame in frames)]
        return any(person.is_test(visit) for visit in visits)

    def _wrong_names(
        self, hits: Sequence[tuple[ShownTrack, str, NameVerdict]]
    ) -> Iterator[WrongName]:
        for track, name, verdict in hits:
            if verdict is NameVerdict.WRONG:
                first = next(
                    event
                    for event in track.events
                    if event.event.identity == name and event.verdict is NameVerdict.WRONG
                )
                yield WrongName(first.event.track_id, name, first.shown, round(first.frame))

    def _visits(self) -> Iterator[VisitScore]:
        for person in self._people.values():
            for visit in person.visits:
                if person.identity in self._enrolled and person.is_test(visit):
                    yield VisitScore(
                        person.identity,
                        visit.first_frame,
                        visit.last_frame,
                        self._delay_s(person, visit),
                    )

    def _delay_s(self, person: LabelledPerson, visit: LabelledVisit) -> float | None:
        """Until the right name was said; 0 where the labels begin later than that."""
        edge = self._truth.fps * EDGE_S
        decided = [
            event.decided_frame
            for track in self._tracks
            for event in track.events
            if event.verdict is NameVerdict.RIGHT
            and event.event.identity == person.identity
            and visit.spans(event.frame, edge)
        ]
        if not decided:
            return None
        return max(0.0, min(decided) - visit.first_frame) / self._truth.fps

    def _id_switches(self) -> int:
        """As in CLEAR MOT, over the moments of which an event tells; a track that continues
        another is that one.
        """
        seen: defaultdict[tuple[str, int], list[tuple[float, tuple[str, str, int]]]]
        seen = defaultdict(list)
        edge = self._truth.fps * EDGE_S
        for track in self._tracks:
            for event in track.events:
                visits = self._people[event.shown].visits if event.shown else ()
                for visit in visits:
                    if visit.spans(event.frame, edge):
                        seen[str(event.shown), visit.first_frame].append((event.frame, event.visit))
        return sum(
            before[1] != after[1]
            for looks in seen.values()
            for before, after in pairwise(sorted(looks))
        )
