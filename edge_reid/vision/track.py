"""Detections become tracks: people followed over frames.

Association is ByteTrack's (Zhang et al. 2022): strong detections are paired with the tracks first,
then weak ones (half-hidden people) with the tracks that are left, then what strong ones are left by
boxes made larger (C-BIoU, Yang et al. 2023); only strong ones start a track.
Before that, where looks are to be had, the likeliest pairing as a whole is taken (`likelihood.py`),
with what looks say where places leave a choice. README.md beside this file says what it brings, and
why the tracker is our own.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_reid.core.config.vision_settings import TrackSettings
from edge_reid.core.geometry import Box, iou, iou_matrix
from edge_reid.core.types import Detection, Track, TrackUpdate
from edge_reid.vision.appearance import Appearance
from edge_reid.vision.assign import PairMatrix, may_be, pair_by_likelihood, pair_by_overlap
from edge_reid.vision.kalman import Motion, begin, correct, predict, shift
from edge_reid.vision.likelihood import log_ratios

_WEAK_MIN_IOU = 0.4
"""A weak detection must lie where it is expected; a strong one may surprise (`min_iou`)."""
_BUFFER = 0.5
"""Of the sides of a box, laid around it at either end to pair what is left over: at few looks a
second somebody may be a whole box away (C-BIoU, Yang et al. 2023)."""
_BUFFERED_MIN_IOU = 0.2
_TRUST_S = 8.0
"""What a lost track expects fades like this: whoever was just seen has the better claim."""
_CONTESTED_IOU = 0.3
_CONTESTED_DOUBT = 3.0
"""When people cross, one detection often covers two of them: while a second track overlaps it by
`_CONTESTED_IOU` and got none of its own, its place counts as so much less certain."""
_DUPLICATE_IOU = 0.7
"""A detection that overlaps a person just seen by so much is that person again."""
_BRIEF_SHARE = 0.25
_BRIEF_LOOKS = 2
"""A track that is unconfirmed, or walks out of the picture, gets this share of `max_lost_s`, but
at least so many looks of the detector."""
_SURE_SHARE = 0.1
"""Of the way from the least strong score to 1: a detection of so much is of a person. Things that
look a little like one (a traffic cone) stay below, seen once or a hundred times."""
_CLEAR_SHARE = 0.4
_CLEAR_DETECTIONS = 2
"""A first detection of so much, of somebody who stands apart from all others, needs no second one,
as long as not more than `_CLEAR_DETECTIONS` are asked for."""
_APART_IOU = 0.2
_MOVED = 0.4
"""Box heights: what has moved so far is no thing. Boxes of what stands still tremble by 0.3."""
_EDGE_PX = 2.0
_LEAVING_SPEED = 0.2
"""Box heights per second; people walk at 0.7 or so."""


@dataclass(frozen=True, slots=True, eq=False)
class _Followed:
    """One track from the inside."""

    motion: Motion
    score: float
    first_seen_utc_s: float
    last_seen_utc_s: float
    last_box: Box
    first_box: Box
    best_score: float
    detections: int = 1
    is_observed: bool = True
    """At this very frame."""
    unseen_s: float = 0.0
    looks_missed: int = 0
    """Detector runs since it was last seen."""
    track_id: int = 0
    """0 until it is confirmed."""
    came_out_of: frozenset[int] = frozenset()
    """Tracks whose boxes its first detection overlapped, until it is confirmed and tells."""


class Tracker:
    """Follows people through one run of one camera. Deterministic: no randomness, no clock.

    >>> tracker = Tracker(TrackSettings(min_detections=1), strong_score=0.5)
    >>> seen = tracker.update([Detection(Box(10, 10, 30, 70), score=0.9)], captured_utc_s=0.0)
    >>> [track.track_id for track in seen.active]
    [1]
    """

    def __init__(self, settings: TrackSettings, *, strong_score: float) -> None:
        self._settings = settings
        self._strong_score = strong_score
        self._sure_score = strong_score + _SURE_SHARE * (1 - strong_score)
        self._clear_score = strong_score + _CLEAR_SHARE * (1 - strong_score)
        self._followed: tuple[_Followed, ...] = ()
        self._now_utc_s = math.inf  # until the first frame no time has passed
        self.tracks_started = 0
        """Confirmed tracks so far; also the newest track_id."""

    @property
    def is_idle(self) -> bool:
        """Whether nobody is followed, not even tentatively."""
        return not self._followed

    def update(
        self,
        detections: Sequence[Detection] | None,
        captured_utc_s: float,
        frame_size_px: tuple[int, int] | None = None,
        shift_px: tuple[float, float] = (0.0, 0.0),
        appearance: Appearance | None = None,
    ) -> TrackUpdate:
        """Carry all tracks to this frame.

        Args:
            detections: what the detector found; None when it did not run at this frame, and the
                tracks are only predicted.
            captured_utc_s: time of the frame. A step back counts as no time at all.
            frame_size_px: (width, height). With it, a track that leaves the picture ends early.
            shift_px: (dx, dy) by which the camera has moved the whole picture since the last time.
            appearance: what people look like in this frame; None: places alone count.
        """
        if any(shift_px):
            self._followed = tuple(_shifted(each, shift_px) for each in self._followed)
        self._advance(captured_utc_s)
        ended = self._give_up(frame_size_px)
        if detections is not None:
            self._associate(detections, appearance)
        active, came_out = self._active(frame_size_px), self._came_out()
        return TrackUpdate(active, ended, close=(*_close(active), *came_out), came_out=came_out)

    def end(self, numbers: Container[int]) -> tuple[Track, ...]:
        """End these tracks: others go on with their people. Returns them as last seen."""
        gone = [each for each in self._followed if each.track_id in numbers]
        self._followed = tuple(each for each in self._followed if each.track_id not in numbers)
        return _as_last_seen(gone)

    def flush(self) -> tuple[Track, ...]:
        """End all tracks: the source is over. Returns the confirmed ones, as last seen."""
        ended = _as_last_seen(self._followed)
        self._followed = ()
        return ended

    def _advance(self, captured_utc_s: float) -> None:
        elapsed_s = max(0.0, captured_utc_s - self._now_utc_s)
        self._now_utc_s = captured_utc_s
        self._followed = tuple(
            replace(
                each,
                motion=predict(each.motion, elapsed_s),
                is_observed=False,
                unseen_s=each.unseen_s + elapsed_s,
            )
            for each in self._followed
        )

    def _give_up(self, frame_size_px: tuple[int, int] | None) -> tuple[Track, ...]:
        lost = [self._is_lost(each, frame_size_px) for each in self._followed]
        gone = [each for each, is_lost in zip(self._followed, lost, strict=True) if is_lost]
        self._followed = tuple(
            each for each, is_lost in zip(self._followed, lost, strict=True) if not is_lost
        )
        return _as_last_seen(gone)

    def _is_lost(self, each: _Followed, frame_size_px: tuple[int, int] | None) -> bool:
        if each.unseen_s > self._settings.max_lost_s:
            return True
        is_brief = not each.track_id or (
            frame_size_px is not None and _is_leaving(each, frame_size_px)
        )
        return (
            is_brief
            and each.looks_missed >= _BRIEF_LOOKS
            and each.unseen_s > self._settings.max_lost_s * _BRIEF_SHARE
        )

    def _associate(self, detections: Sequence[Detection], appearance: Appearance | None) -> None:
        confirmed = [each for each in self._followed if each.track_id]
        seen_by_looks, held_back = list[_Followed](), list[_Followed]()
        if appearance is not None:
            seen_by_looks, held_back, confirmed, detections = self._pair_by_looks(
                confirmed, detections, appearance
            )
        strong = [each for each in detections if each.score >= self._strong_score]
        weak = [each for each in detections if each.score < self._strong_score]
        tentative = [each for each in self._followed if not each.track_id]
        min_iou = self._settings.min_iou

        seen, confirmed, strong = self._pair(confirmed, strong, min_iou)
        seen_weakly, confirmed, _ = self._pair(confirmed, weak, _WEAK_MIN_IOU)
        seen_early, tentative, strong = self._pair(tentative, strong, min_iou)
        seen_near, confirmed, strong = self._pair(confirmed, strong, _BUFFERED_MIN_IOU, _BUFFER)
        seen_near_early, tentative, strong = self._pair(
            tentative, strong, _BUFFERED_MIN_IOU, _BUFFER
        )
        seen = [*seen_by_looks, *seen, *seen_weakly, *seen_early, *seen_near, *seen_near_early]

        missed = [
            replace(each, looks_missed=each.looks_missed + 1)
            for each in (*held_back, *confirmed, *tentative)
        ]
        for detection in strong:
            if not _is_duplicate(detection, seen):
                begun = replace(self._begin(detection), came_out_of=_overlapped(detection, seen))
                is_clear = self._is_clear(detection, (*seen, *missed))
                seen.append(self._confirmed(begun) if is_clear else begun)
        self._followed = tuple(self._confirmed_if_due(each, held_back) for each in (*seen, *missed))

    def _pair_by_looks(
        self,
        followed: list[_Followed],
        detections: Sequence[Detection],
        appearance: Appearance,
    ) -> tuple[list[_Followed], list[_Followed], list[_Followed], list[Detection]]:
        """(tracks seen again, tracks not seen, tracks of which looks cannot tell, detections left
        over).
        """
        ratios = log_ratios(
            [each.motion for each in followed],
            [each.unseen_s for each in followed],
            detections,
            strong_score=self._strong_score,
        )
        decided = pair_by_likelihood(
            ratios,
            _can_tell(followed, detections, appearance, may_be(ratios)),
            lambda row, column: appearance.evidence(followed[row].track_id, detections[column]),
        )
        paired, taken = dict(decided.pairs), {column for _, column in decided.pairs}
        unseen = [followed[row] for row in sorted(decided.rows) if row not in paired]
        seen = [
            self._see(followed[row], detections[column], _doubt(detections[column], unseen))
            for row, column in decided.pairs
        ]
        others = [each for row, each in enumerate(followed) if row not in decided.rows]
        left = [each for column, each in enumerate(detections) if column not in taken]
        return seen, unseen, others, left

    def _pair(
        self,
        followed: list[_Followed],
        detections: list[Detection],
        min_iou: float,
        buffer: float = 0.0,
    ) -> tuple[list[_Followed], list[_Followed], list[Detection]]:
        """(tracks seen again, tracks not seen, detections left over)."""
        pairs = pair_by_overlap(
            [each.motion.box for each in followed],
            [each.box for each in detections],
            min_iou=min_iou,
            buffer=buffer,
            trust=[_trust(each) for each in followed],
        )
        rows, columns = {row for row, _ in pairs}, {column for _, column in pairs}
        unseen = [each for row, each in enumerate(followed) if row not in rows]
        left = [each for column, each in enumerate(detections) if column not in columns]
        seen = [
            self._see(followed[row], detections[column], _doubt(detections[column], unseen))
            for row, column in pairs
        ]
        return seen, unseen, left

    def _begin(self, detection: Detection) -> _Followed:
        return _Followed(
            motion=begin(detection.box),
            score=detection.score,
            first_seen_utc_s=self._now_utc_s,
            last_seen_utc_s=self._now_utc_s,
            last_box=detection.box,
            first_box=detection.box,
            best_score=detection.score,
        )

    def _see(self, each: _Followed, detection: Detection, doubt: float) -> _Followed:
        motion = correct(each.motion, detection.box, doubt=doubt)
        return replace(
            each,
            motion=motion,
            score=detection.score,
            best_score=max(each.best_score, detection.score),
            last_seen_utc_s=self._now_utc_s,
            last_box=motion.box,
            detections=each.detections + 1,
            is_observed=True,
            unseen_s=0.0,
            looks_missed=0,
        )

    def _is_clear(self, detection: Detection, others: Iterable[_Followed]) -> bool:
        """Whether it counts at once: nobody else can have been taken for somebody new."""
        return (
            self._settings.min_detections <= _CLEAR_DETECTIONS
            and detection.score >= self._clear_score
            and all(iou(each.motion.box, detection.box) < _APART_IOU for each in others)
        )

    def _confirmed_if_due(self, each: _Followed, held_back: Iterable[_Followed]) -> _Followed:
        """With a number, if there are enough detections, one of them sure, or it has moved; at a
        look at which it is seen, as what was held off may be gone by the next one.

        Not where somebody is expected of whom looks say that it is not they: mostly that is one box
        around two people, of which either track refuses its half.
        """
        if each.track_id or not each.is_observed:
            return each
        if each.detections < self._settings.min_detections:
            return each
        if any(iou(other.motion.box, each.motion.box) >= _APART_IOU for other in held_back):
            return each
        if each.best_score < self._sure_score and not _has_moved(each):
            return each
        return self._confirmed(each)

    def _confirmed(self, each: _Followed) -> _Followed:
        self.tracks_started += 1
        return replace(each, track_id=self.tracks_started)

    def _came_out(self) -> tuple[tuple[int, int], ...]:
        """Whom of those still followed those who count from now on have met before they did;
        telling is forgetting.
        """
        followed = {each.track_id for each in self._followed}
        pairs = [
            (number, each.track_id)
            for each in self._followed
            if each.track_id
            for number in sorted(each.came_out_of & followed)
        ]
        self._followed = tuple(
            replace(each, came_out_of=frozenset()) if each.track_id else each
            for each in self._followed
        )
        return tuple(pairs)

    def _active(self, frame_size_px: tuple[int, int] | None) -> tuple[Track, ...]:
        tracks = (_current(each, frame_size_px) for each in self._followed if each.track_id)
        return _by_id(tracks)


def _current(each: _Followed, frame_size_px: tuple[int, int] | None) -> Track:
    track = _track(each, each.motion.box, observed=each.is_observed)
    is_leaving = frame_size_px is not None and _is_leaving(each, frame_size_px)
    return replace(track, is_leaving=True) if is_leaving else track


def _shifted(each: _Followed, shift_px: tuple[float, float]) -> _Followed:
    """The same in a picture that the camera has moved."""
    return replace(
        each,
        motion=shift(each.motion, shift_px),
        last_box=each.last_box.shifted(*shift_px),
        first_box=each.first_box.shifted(*shift_px),
    )


def _as_last_seen(followed: Iterable[_Followed]) -> tuple[Track, ...]:
    """The confirmed ones of these."""
    return _by_id(_track(each, each.last_box, observed=False) for each in followed if each.track_id)


def _track(each: _Followed, box: Box, *, observed: bool) -> Track:
    return Track(
        track_id=each.track_id,
        box=box,
        score=each.score,
        observed=observed,
        first_seen_utc_s=each.first_seen_utc_s,
        last_seen_utc_s=each.last_seen_utc_s,
    )


def _close(tracks: Sequence[Track]) -> tuple[tuple[int, int], ...]:
    """Numbers of the tracks whose boxes overlap enough to be confused."""
    if not tracks:
        return ()
    boxes = np.stack([track.box.to_array() for track in tracks])
    rows, columns = np.nonzero(np.triu(iou_matrix(boxes, boxes) > _CONTESTED_IOU, k=1))
    return tuple(
        (tracks[row].track_id, tracks[column].track_id)
        for row, column in zip(rows, columns, strict=True)
    )


def _by_id(tracks: Iterable[Track]) -> tuple[Track, ...]:
    return tuple(sorted(tracks, key=lambda track: track.track_id))


def _doubt(detection: Detection, unseen: Sequence[_Followed]) -> float:
    contested = any(iou(each.motion.box, detection.box) > _CONTESTED_IOU for each in unseen)
    return _CONTESTED_DOUBT if contested else 1.0


def _can_tell(
    followed: Sequence[_Followed],
    detections: Sequence[Detection],
    appearance: Appearance,
    pairs: PairMatrix,
) -> PairMatrix:
    """Of these pairs only: in a crowd all of them are a thousand."""
    can_tell = np.zeros_like(pairs)
    for row, column in np.argwhere(pairs).tolist():
        can_tell[row, column] = appearance.can_tell(followed[row].track_id, detections[column])
    return can_tell


def _overlapped(detection: Detection, others: Iterable[_Followed]) -> frozenset[int]:
    """Numbers of the tracks that a detection overlaps enough to be confused with."""
    return frozenset(
        each.track_id
        for each in others
        if each.track_id and iou(each.motion.box, detection.box) > _CONTESTED_IOU
    )


def _trust(each: _Followed) -> float:
    """How much a prediction counts beside that of a track just seen: less the longer it was not."""
    return math.exp(-each.unseen_s / _TRUST_S)


def _is_duplicate(detection: Detection, seen: Sequence[_Followed]) -> bool:
    return any(iou(each.last_box, detection.box) > _DUPLICATE_IOU for each in seen)


def _has_moved(each: _Followed) -> bool:
    way_px = math.dist(each.first_box.centre, each.motion.box.centre)
    return way_px > _MOVED * each.motion.box.height


def _is_leaving(each: _Followed, frame_size_px: tuple[int, int]) -> bool:
    """Whether its box reaches an edge of the picture and walks on over it."""
    width, height = frame_size_px
    box, (vx, vy) = each.motion.box, each.motion.velocity_px_s
    speed = _LEAVING_SPEED * box.height
    return (
        (box.x1 <= _EDGE_PX and vx < -speed)
        or (box.y1 <= _EDGE_PX and vy < -speed)
        or (box.x2 >= width - _EDGE_PX and vx > speed)
        or (box.y2 >= height - _EDGE_PX and vy > speed)
    )
