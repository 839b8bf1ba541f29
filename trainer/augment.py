"""Random changes of a batch of training crops, in NumPy on uint8: cheap enough for one thread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ImageBatch = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """How strongly crops are changed; all chances are per image.

    Attributes:
        flip: chance of mirroring left to right.
        shift: largest shift of the crop, as a part of its width or height; uncovered pixels
            repeat the border (pad-and-crop).
        erase: chance of erasing one rectangle (Zhong et al., "Random Erasing", AAAI 2020).
        erase_area: smallest and largest part of the picture erased.
        contrast: contrast is multiplied by 1 ± this.
        brightness: brightness is moved by ± this, of 255.
    """

    flip: float = 0.5
    shift: float = 0.06
    erase: float = 0.35
    erase_area: tuple[float, float] = (0.02, 0.2)
    contrast: float = 0.15
    brightness: float = 0.08


def augment(images: ImageBatch, config: AugmentConfig, rng: np.random.Generator) -> ImageBatch:
    """A changed copy of `images` (B, H, W, 3) RGB uint8."""
    changed = np.empty_like(images)
    for index, image in enumerate(images):
        mirrored = image[:, ::-1] if rng.random() < config.flip else image
        changed[index] = _shifted(mirrored, config.shift, rng)
        _jitter(changed[index], config, rng)
        if rng.random() < config.erase:
            _erase(changed[index], config.erase_area, rng)
    return changed


def _shifted(image: ImageBatch, limit: float, rng: np.random.Generator) -> ImageBatch:
    height, width = image.shape[:2]
    dy = round(rng.uniform(-limit, limit) * height)
    dx = round(rng.uniform(-limit, limit) * width)
    rows = np.clip(np.arange(height) + dy, 0, height - 1)
    columns = np.clip(np.arange(width) + dx, 0, width - 1)
    return image[rows][:, columns]


def _jitter(image: ImageBatch, config: AugmentConfig, rng: np.random.Generator) -> None:
    gain = 1.0 + rng.uniform(-config.contrast, config.contrast)
    offset = 255.0 * rng.uniform(-config.brightness, config.brightness)
    # A 256-entry table is many times cheaper than float arithmetic on every pixel.
    table = np.clip((np.arange(256) - 127.5) * gain + 127.5 + offset, 0, 255).astype(np.uint8)
    image[:] = table[image]


def _erase(image: ImageBatch, area: tuple[float, float], rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    pixels = rng.uniform(*area) * height * width
    aspect = np.exp(rng.uniform(np.log(0.3), np.log(3.3)))
    h = int(np.clip(np.sqrt(pixels * aspect), 1, height - 1))
    w = int(np.clip(np.sqrt(pixels / aspect), 1, width - 1))
    top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
    image[top : top + h, left : left + w] = rng.integers(0, 256, (h, w, 3), dtype=np.uint8)
