"""Whom a contested detection looks like: it is embedded, and compared with the crops of the tracks.

Most detections are taken by the one track that can take them, and cost nothing here. In a crowd it
would be everybody, so no more are embedded than there is time for.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_reid.core.types import Detection, Frame, Image, Vector
from edge_reid.matching.likelihood_ratio import LikelihoodRatio
from edge_reid.vision.crops import LargerPicture, sight_of


class ContestedLooks:
    """The `Appearance` of one frame.

    Args:
        frame: that the detections are of.
        embed: the embedding of a crop, unit (D,) float32.
        larger: the larger picture of the frame's moment, from which crops of tracks are cut; None:
            there is none. Asked only of detections that somebody might be.
        seen_before: by track_id, the mean of the crops that are kept of it; None: there are none.
        ratio: what similarities say, by the model.
        min_height_px: in the picture that they are cut from; of smaller ones nothing is known.
        has_time: whether there is time for another embedding.
    """

    def __init__(
        self,
        frame: Frame,
        *,
        embed: Callable[[Image], Vector],
        larger: Callable[[], LargerPicture | None] = lambda: None,
        seen_before: Callable[[int], Vector | None],
        ratio: LikelihoodRatio,
        min_height_px: int,
        has_time: Callable[[], bool] = lambda: True,
    ) -> None:
        self._frame = frame
        self._embed = embed
        self._larger = larger
        self._seen_before = seen_before
        self._ratio = ratio
        self._min_height_px = min_height_px
        self._has_time = has_time
        self._embedded: dict[Detection, Vector] = {}
        self._given_up: set[Detection] = set()
        self._tracks: dict[int, Vector | None] = {}

    @property
    def embeddings(self) -> int:
        """Detections that were embedded."""
        return len(self._embedded)

    @property
    def given_up(self) -> int:
        """Detections that were to be embedded when no time was left."""
        return len(self._given_up)

    def can_tell(self, track_id: int, detection: Detection) -> bool:
        """As of `Appearance`."""
        return self._can_be_seen(detection) and self._before(track_id) is not None

    def evidence(self, track_id: int, detection: Detection) -> float | None:
        """As of `Appearance`."""
        before = self._before(track_id)
        if before is None or not self._can_be_seen(detection):
            return None
        look = self._look_of(detection)
        return None if look is None else self._ratio.log_of(float(before @ look))

    def _before(self, track_id: int) -> Vector | None:
        if track_id not in self._tracks:
            self._tracks[track_id] = self._seen_before(track_id)
        return self._tracks[track_id]

    def _can_be_seen(self, detection: Detection) -> bool:
        box = detection.box.clipped(*self._frame.size_px)
        if not box.area:
            return False
        larger = self._larger()
        enlarged_px = larger.height_px(box) if larger else None
        return (box.height if enlarged_px is None else enlarged_px) >= self._min_height_px

    def _look_of(self, detection: Detection) -> Vector | None:
        if detection in self._embedded:
            return self._embedded[detection]
        if not self._has_time():
            self._given_up.add(detection)
            return None
        sight = sight_of(self._frame, detection.box, self._larger())
        if sight.height_px < self._min_height_px:  # the larger picture does not show it after all
            return None
        return self._embedded.setdefault(detection, self._embed(sight.image))
