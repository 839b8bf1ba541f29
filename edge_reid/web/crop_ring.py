"""The crops of the last minutes, in memory only."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from edge_reid.core.types import Crop, Embedding
from edge_reid.vision.crops import crop_jpeg

MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, eq=False)
class KeptCrop:
    """A crop as a small picture."""

    number: int
    """Rises from 1."""
    camera: str
    track_id: int
    embedding: Embedding
    """Of the crop; its identity in memory is the key."""
    jpeg: bytes
    captured_utc_s: float
    kept_s: float
    """Monotonic."""


class CropRing:
    """Crops by their embeddings; what is too old, or too much, goes.

    Args:
        keep_s: how long.
        clock: monotonic seconds.
    """

    def __init__(self, keep_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep_s = keep_s
        self._clock = clock
        self._crops: OrderedDict[int, KeptCrop] = OrderedDict()
        self._bytes = 0
        self._numbers = count(1)

    def put(self, camera: str, crop: Crop, embedding: Embedding) -> None:
        """Keep a crop of a camera."""
        kept = KeptCrop(
            next(self._numbers),
            camera,
            crop.track_id,
            embedding,
            crop_jpeg(crop.image),
            crop.captured_utc_s,
            self._clock(),
        )
        self._crops[id(embedding)] = kept
        self._bytes += len(kept.jpeg)
        self.age()

    def of(self, embedding: Embedding) -> KeptCrop | None:
        """The crop of an embedding; None: it is not here any more."""
        return self._crops.get(id(embedding))

    @property
    def all(self) -> tuple[KeptCrop, ...]:
        """Those that are here, oldest first."""
        return tuple(self._crops.values())

    def forget(self, camera: str, track_id: int) -> None:
        """Let go the crops of a track."""
        for key, kept in list(self._crops.items()):
            if (kept.camera, kept.track_id) == (camera, track_id):
                del self._crops[key]
                self._bytes -= len(kept.jpeg)

    def age(self) -> None:
        """Let go what is too old or too much."""
        oldest_s = self._clock() - self._keep_s
        while self._crops:
            first = next(iter(self._crops.values()))
            if first.kept_s > oldest_s and self._bytes <= MOST_BYTES:
                return
            self._crops.popitem(last=False)
            self._bytes -= len(first.jpeg)

    def clear(self) -> None:
        """Forget all."""
        self._crops.clear()
        self._bytes = 0
