"""Values that travel between stages: frozen; those with arrays compare by identity.

Images are RGB uint8 (H, W, 3). Times are Unix seconds, UTC (`_utc_s`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_reid.core.geometry import Box

Image: TypeAlias = NDArray[np.uint8]
"""RGB uint8 (H, W, 3)."""

Luma: TypeAlias = NDArray[np.uint8]
"""Brightness, 0 to 255: (h, w) uint8."""

Vector: TypeAlias = NDArray[np.float32]
"""(D,) float32 of unit L2 norm."""

Vectors: TypeAlias = NDArray[np.float32]
"""(N, D) float32, rows of unit L2 norm."""

END_UTC_S = 1e11
"""Unix seconds that every time from elsewhere is to be before: in 5138, which all calendars
still show."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of one camera."""

    image: Image
    index: int
    """0 for the first frame read from the source."""
    captured_utc_s: float
    """Wall clock for a live camera; start time plus video clock for a file."""
    luma: Luma | None = None
    """The whole picture, small, as the decoder had it beside the colours: whoever looks for motion
    need not make it of `image`. None: it did not."""

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height)."""
        return int(self.image.shape[1]), int(self.image.shape[0])


@dataclass(frozen=True, slots=True)
class Detection:
    """A person detected in one frame."""

    box: Box
    score: float
    """Detector confidence, 0..1."""


@dataclass(frozen=True, slots=True)
class Track:
    """A person followed over frames: the state of their track at one frame."""

    track_id: int
    """Rises from 1 within one run of one camera; never used again."""
    box: Box
    """Filtered position at this frame."""
    score: float
    """Confidence of the last detection matched."""
    observed: bool
    """Whether the box is of a detection in this frame; else it is predicted."""
    first_seen_utc_s: float
    last_seen_utc_s: float
    """Of the last frame in which it was observed."""
    is_leaving: bool = False
    """Whether its box, observed or predicted, walks out over an edge of the picture."""


@dataclass(frozen=True, slots=True)
class TrackUpdate:
    """Tracks after one frame."""

    active: tuple[Track, ...]
    """Confirmed tracks alive at this frame, by track_id."""
    ended: tuple[Track, ...]
    """Confirmed tracks that ended at this frame, as last observed."""
    close: tuple[tuple[int, int], ...] = ()
    """Pairs of active tracks so close that their detections may be swapped."""
    came_out: tuple[tuple[int, int], ...] = ()
    """Of these, pairs of which the second counts from now on and began in the box of the first."""


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """The part of a frame that shows a person, of good enough quality to be embedded."""

    track_id: int
    box: Box
    image: Image
    """(h, w, 3) RGB uint8, a copy: the frame may be reused."""
    quality: float
    """0..1; larger is better (size, sharpness, overlap, being whole in the frame)."""
    captured_utc_s: float
    is_enlarged: bool = False
    """Whether it was cut from a larger picture than the frame that `box` is in."""


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """The vector of a crop in the space of one model."""

    vector: Vector
    model_id: str
    quality: float


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """One enrolled embedding of an identity."""

    identity: str
    vector: Vector
    model_id: str
    quality: float
    source_sha256: str
    """SHA-256 of the image file, hex."""
    created_utc_s: float
    template_id: int | None = None
    """Row number once stored."""
    photo_name: str | None = None
    """Name of the image file as given; neither exported nor published."""


@dataclass(frozen=True, slots=True, eq=False)
class GallerySnapshot:
    """A whole gallery in memory, for the search."""

    identities: tuple[str, ...]
    labels: NDArray[np.int32]
    """(N,) index into `identities` for each template."""
    vectors: Vectors
    """(N, D), one row per template."""
    model_id: str
    version: int
    """Rises with every change of the gallery."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An identity with its similarity, that of `edge_reid.matching.index.Index`."""

    identity: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Known:
    """The track shows this identity."""

    identity: str
    similarity: float
    threshold: float
    margin: float | None
    """To the best other identity; None when the gallery holds no other."""
    crops: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """The track shows nobody enrolled."""

    similarity: float | None
    """Of the nearest identity; None when the gallery is empty."""
    threshold: float
    crops: int


@dataclass(frozen=True, slots=True)
class Uncertain:
    """There are too few crops to decide, or two identities are too similar."""

    candidate: Candidate | None
    threshold: float
    margin: float | None
    crops: int


Decision: TypeAlias = Known | Unknown | Uncertain


class HitType(Enum):
    """The moment of a track that an event reports."""

    NEW = "new"
    UPDATE = "update"
    END = "end"
    CORRECTION = "correction"
    """A name that was published of the track is taken back."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A decided track that is to be published as an event."""

    type: HitType
    decision: Known | Unknown
    track_id: int
    box: Box
    frame_size_px: tuple[int, int]
    """(width, height)."""
    captured_utc_s: float
    """Of the frame that the decision rests on."""
    decided_utc_s: float
    first_seen_utc_s: float
    last_seen_utc_s: float
    continues: int | None = None
    """The number of the track that the visit began as, if it was another one."""
    zones: tuple[str, ...] | None = None
    """Names of the zones in which the feet of `box` are; None: the camera has no zones."""
    stranger: str | None = None
    """Anonymous name of an unknown person whom this device has seen before."""
    embeddings: tuple[Embedding, ...] = field(default=(), compare=False, repr=False)
    """Those that the track is decided by, by falling quality: to recognise an unknown person again,
    and to show why. Never published."""


class ZoneChangeType(Enum):
    """What somebody did at a zone or a line."""

    ENTERED = "entered"
    LEFT = "left"
    LOITERING = "loitering"
    """They have been in it for as long as is allowed."""
    CROSSED = "crossed"
    """Of a line."""


@dataclass(frozen=True, slots=True)
class ZoneChange:
    """Somebody entered or left a zone, loiters in it, or crossed a line."""

    type: ZoneChangeType
    area: str
    """Name of the zone, or of the line that was crossed."""
    track: Track
    """As it was then; of somebody who was lost in the zone, as it was last seen."""
    continues: int | None
    """The number of the track that the visit began as, if it was another one."""
    frame_size_px: tuple[int, int]
    """(width, height)."""
    at_utc_s: float
    """When they did."""
    decided_utc_s: float
    """When that was found; later where somebody was waited for."""
    entered_utc_s: float | None = None
    """Since when they were in the zone; None: they have just entered it, or crossed a line."""
    direction: Literal["in", "out"] | None = None
    """Of a line."""
