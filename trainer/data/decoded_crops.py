"""Decoded training crops: each file is read and resized once, then kept as one uint8 array."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_reid.core.files import whole_file
from edge_reid.vision.photo import read_photo
from edge_reid.vision.preprocess import to_input
from trainer.files.progress_bars import bar

ImageBatch = npt.NDArray[np.uint8]


def read_image(path: Path) -> ImageBatch:
    """One picture as RGB uint8 (H, W, 3), as the device's own reader decodes it.

    Grey, CMYK and 16-bit pictures become RGB uint8, transparent pixels are laid over mid grey
    (black or white would be a colour of clothing), EXIF rotation is undone.

    Raises:
        PhotoError: the file is empty, cut short, no picture or of more than 100 megapixels.
    """
    return read_photo(path).image


def load_crops(
    paths: Sequence[Path], height_px: int, width_px: int, cache: Path | None = None
) -> ImageBatch:
    """All pictures as (N, H, W, 3) RGB uint8; kept under `cache` for the next start."""
    if cache is None:
        return _decode(paths, len(paths), height_px, width_px)
    file = cache / f"crops-{height_px}x{width_px}-{_fingerprint(paths)}.npy"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        shown = bar(paths, "decoding pictures")
        with whole_file(file) as whole:
            np.save(whole, _decode(shown, len(paths), height_px, width_px))
    return np.asarray(np.load(file, mmap_mode="r"))


def _fingerprint(paths: Sequence[Path]) -> str:
    """Hash of names, sizes and times, so that a changed file is decoded again."""
    digest = hashlib.sha256()
    for path in paths:
        stat = path.stat()
        digest.update(f"{path}\n{stat.st_size}\n{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]


def _decode(paths: Iterable[Path], count: int, height_px: int, width_px: int) -> ImageBatch:
    crops = np.empty((count, height_px, width_px, 3), np.uint8)
    for crop, path in zip(crops, paths, strict=True):
        crop[:] = to_input(read_image(path), height_px, width_px)[0]
    return crops
