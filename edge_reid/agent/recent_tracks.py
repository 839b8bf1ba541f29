"""Tracks of moments ago, and which of them a new track goes on with.

Somebody who walks behind a pillar, or whom a crossing hides, comes out as a new track. It continues
an old one when place and time allow it and both look alike: their means as similar as two people
are only at the accepted rate, by the model's own impostor similarities and for as many comparisons
as are made, and clearly more alike than the next best.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from edge_reid.agent.policy import MatchPolicy
from edge_reid.agent.track_state import EmbeddedCrop, PastTrack, embeddings_of, is_called
from edge_reid.matching.fusion import mean_vector
from edge_reid.matching.threshold import threshold_for

_REACH = 1.0
"""Box heights from where a track was last seen, at once: boxes of half-hidden people jump."""
_REACH_PER_S = 1.5
"""Box heights per second on top: walkers make 0.7 or so."""
_TELLING_S = 3.0
"""After a track has begun, it mostly has crops enough to tell what it continues."""
_SLOWLY_TOLD_S = 60.0
"""The same at a camera that is looked at too seldom for that. Nobody waits for longer."""
_HEIGHT_RATIO = 1.6
"""Of the taller box to the other one."""


class RecentTracks:
    """The tracks of one camera that have ended within `memory_s`; 0 remembers none."""

    def __init__(self, memory_s: float) -> None:
        self.memory_s = memory_s
        self._ended: list[PastTrack] = []

    def remember(self, past: PastTrack) -> None:
        """Keep a track that has ended, unless it walked out of the picture."""
        if past.crops and not past.track.is_leaving and self.memory_s > 0:
            self._ended = [*self._since(past.track.last_seen_utc_s - _SLOWLY_TOLD_S), past]

    def forget(self, past: PastTrack) -> None:
        """A track continues it: no other one will."""
        self._ended = [other for other in self._ended if other is not past]

    def deny(self, visit: int, identity: str) -> None:
        """Whoever came by this visit is not this person, and was never taken for them."""
        self._ended = [
            _denied(past, identity) if past.visit == visit else past for past in self._ended
        ]

    def clear(self) -> None:
        """Nobody is followed over what comes next."""
        self._ended = []

    def awaited(self, now_utc_s: float) -> tuple[PastTrack, ...]:
        """Those that a track may continue which is already there, or comes in time."""
        return tuple(self._since(now_utc_s - _TELLING_S))

    def _since(self, first_utc_s: float) -> list[PastTrack]:
        """Those that a track may continue whose first crop is of then or later."""
        return [
            past
            for past in self._ended
            if first_utc_s - past.track.last_seen_utc_s <= self.memory_s
        ]

    def predecessor(
        self, crops: Sequence[EmbeddedCrop], absent: Iterable[PastTrack], policy: MatchPolicy
    ) -> PastTrack | None:
        """The track that these crops continue, if any. Fewer than `min_crops`, here or there, are
        too few to tell.

        Args:
            crops: of one track.
            absent: tracks that are still open, but not seen at the moment.
            policy: its rules and the model's impostor quantiles say how alike is enough.
        """
        if len(crops) < policy.rules.min_crops or not policy.thresholds.single:
            return None
        first = min(crops, key=lambda crop: crop.captured_utc_s)
        near = [
            past
            for past in (*self._ended, *absent)
            if len(past.crops) >= policy.rules.min_crops and self._may_be(past, first)
        ]
        return _most_alike(near, crops, policy) if near else None

    def _may_be(self, past: PastTrack, first: EmbeddedCrop) -> bool:
        """Whether somebody can have come from there, in the time since."""
        gone_s = first.captured_utc_s - past.track.last_seen_utc_s
        if not 0 < gone_s <= self.memory_s or past.track.is_leaving:
            return False
        before, after = past.track.box, first.box
        shorter, taller = sorted((before.height, after.height))
        way = math.dist(before.centre, after.centre) / taller
        return taller <= _HEIGHT_RATIO * shorter and way <= _REACH + _REACH_PER_S * gone_s


def _denied(past: PastTrack, identity: str) -> PastTrack:
    held = None if is_called(past.held, identity) else past.held
    return replace(past, held=held, denied=past.denied | {identity})


def _most_alike(
    near: Sequence[PastTrack], crops: Sequence[EmbeddedCrop], policy: MatchPolicy
) -> PastTrack | None:
    rules, model_id = policy.rules, policy.index.model_id
    mean = mean_vector(embeddings_of(crops), model_id)
    means = [mean_vector(embeddings_of(past.crops), model_id) for past in near]
    if mean is None:
        return None
    likeness = [-1.0 if other is None else float(mean @ other) for other in means]
    ranked = sorted(range(len(near)), key=lambda number: likeness[number], reverse=True)
    enough = threshold_for(policy.thresholds.single, rules.target_fpir, len(near))
    if len(ranked) > 1:
        enough = max(enough, likeness[ranked[1]] + rules.min_margin)
    return near[ranked[0]] if likeness[ranked[0]] >= enough else None
