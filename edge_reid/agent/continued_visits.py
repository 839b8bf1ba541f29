"""Visits that go on under another number: which open track continues which other one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from edge_reid.agent.policy import MatchPolicy
from edge_reid.agent.recent_tracks import RecentTracks
from edge_reid.agent.track_state import EmbeddedCrop, PastTrack, TrackState
from edge_reid.core.types import Decision, Known, Track, Unknown


class ContinuedVisits:
    """The tracks of one camera that somebody may go on from: ended lately, or open and not seen.

    Args:
        tracks: all open tracks by `track_id`; looked at anew with every question.
        memory_s: how long a track that has ended is remembered.
    """

    def __init__(self, tracks: Mapping[int, TrackState], memory_s: float) -> None:
        self._tracks = tracks
        self._recent = RecentTracks(memory_s)
        self._places: dict[int, Track] = {}
        self._heirs: dict[int, int] = {}  # by track that is to end, the one that continues it

    @property
    def to_end(self) -> frozenset[int]:
        """Open tracks whose people go on under other numbers."""
        return frozenset(self._heirs) & self._tracks.keys()

    def locate(self, tracks: Iterable[Track]) -> None:
        """Say where the open tracks are."""
        self._places |= {track.track_id: track for track in tracks}

    def leave(self, track_id: int) -> Track | None:
        """A track has ended. Returns where it was last, if anywhere."""
        return self._places.pop(track_id, None)

    def forget_recent(self) -> None:
        """What comes next continues nothing that was."""
        self._recent.clear()

    def deny(self, visit: int, identity: str) -> None:
        """An operator says that whoever came by this visit is not this person."""
        self._recent.deny(visit, identity)

    def is_heir(self, track_id: int) -> bool:
        """Whether a track waits for the end of the one that it continues."""
        return track_id in self._heirs.values()

    def visit_of(self, track_id: int) -> int:
        """The number of the track that the visit of this open one began as."""
        state = self._tracks.get(track_id)
        return track_id if state is None else state.continues or track_id

    def is_undecided(self, track_id: int) -> bool:
        """Whether it may still turn out that this open track continues another one."""
        state = self._tracks.get(track_id)
        is_settled = state is not None and bool(state.published or state.continues)
        return self._recent.memory_s > 0 and not is_settled

    def awaited(self, now_utc_s: float) -> frozenset[int]:
        """Visits without an open track that one may still turn out to continue."""
        return frozenset(past.visit for past in self._recent.awaited(now_utc_s))

    def take_predecessor(
        self, track_id: int, policy: MatchPolicy, judge: Callable[[list[EmbeddedCrop]], Decision]
    ) -> PastTrack | None:
        """The ended track that this one continues. One that is still open is not returned: this
        one becomes its heir.

        Args:
            track_id: nothing was told of it.
            policy: says how alike is enough.
            judge: says whom crops show.
        """
        crops = self._tracks[track_id].crops
        past = self._recent.predecessor(crops, self._absent(), policy)
        if past is None or _is_somebody_else(judge(crops), past):
            return None
        if past.track.track_id in self._tracks:
            self._heirs[past.track.track_id] = track_id
            return None
        self._recent.forget(past)
        return past

    def hand_on(self, past: PastTrack) -> int | None:
        """A track has ended. Returns its heir; without one the track is remembered for a while."""
        heir = self._heirs.pop(past.track.track_id, None)
        if heir in self._tracks:
            return heir
        self._recent.remember(past)
        return None

    def _absent(self) -> list[PastTrack]:
        """The open tracks that are not seen at the moment."""
        return [
            past_track(place, self._tracks[track_id], None)
            for track_id, place in self._places.items()
            if not place.observed and track_id in self._tracks and track_id not in self._heirs
        ]


def past_track(place: Track, state: TrackState, decision: Decision | None) -> PastTrack:
    """What is left of a track; `decision`: its last one, if it has ended."""
    held = state.held
    if isinstance(decision, Known | Unknown) and not state.is_absent:
        held = decision
    visit = state.continues or place.track_id
    return PastTrack(place, tuple(state.crops), held, visit, state.denied)


def _is_somebody_else(now: Decision, past: PastTrack) -> bool:
    """Whether the two have different names by their own crops."""
    before = past.held
    if not isinstance(now, Known) or not isinstance(before, Known):
        return False
    return now.identity != before.identity
