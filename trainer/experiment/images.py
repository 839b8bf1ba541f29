"""Images of an experiment at the input size, and what a network makes of them, each once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edge_reid.vision.preprocess import to_input
from trainer.data.augment import augment
from trainer.data.datasets import PersonData
from trainer.data.decoded_crops import ImageBatch, read_image
from trainer.experiment.draws import Image
from trainer.recipe.augment_settings import AugmentConfig

FloatArray: TypeAlias = npt.NDArray[np.float32]
Network: TypeAlias = Callable[[ImageBatch], FloatArray]
"""Crops (N, H, W, 3) RGB uint8 → rows (N, D)."""

_CHANGES = AugmentConfig(erase=0.0)
"""Mirrored, shifted, brighter or darker: what a person would still take for the same photo."""
_BATCH = 128


class Images:
    """The images of a data set at one size; copy n of a picture is the same in every trial."""

    def __init__(self, data: PersonData, height_px: int, width_px: int, seed: int) -> None:
        self._data, self._size, self._seed = data, (height_px, width_px), seed
        self._pictures: dict[int, ImageBatch] = {}

    def pixels(self, images: Sequence[Image]) -> ImageBatch:
        """(N, H, W, 3) RGB uint8."""
        return np.stack([self._one(picture, copy) for picture, copy in images])

    def _one(self, picture: int, copy: int) -> ImageBatch:
        if picture not in self._pictures:
            photo = read_image(self._data.paths[picture])
            self._pictures[picture] = to_input(photo, *self._size)[0]
        if copy == 0:
            return self._pictures[picture]
        rng = np.random.default_rng((self._seed, picture, copy))
        changed = augment(self._pictures[picture][np.newaxis], _CHANGES, rng)
        return np.asarray(changed[0], np.uint8)


class Features:
    """Rows of a network for images, computed once and kept as float16.

    1,400 images of each of 100 trials are at most 100 people's: 470 images × 2.5 kB a person.
    """

    def __init__(self, network: Network, images: Images) -> None:
        self._network, self._images = network, images
        self._rows: dict[Image, npt.NDArray[np.float16]] = {}

    def rows(self, images: Sequence[Image]) -> FloatArray:
        """(N, D) float32."""
        missing = [image for image in dict.fromkeys(images) if image not in self._rows]
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            found = self._network(self._images.pixels(batch)).astype(np.float16)
            self._rows.update(zip(batch, found, strict=True))
        return np.stack([self._rows[image] for image in images]).astype(np.float32)
