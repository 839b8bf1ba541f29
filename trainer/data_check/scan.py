"""Every picture of a data set looked at once, and what is worth remembering of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import PhotoError, TrainingError
from edge_reid.core.types import Image, Vector
from edge_reid.vision.crops import whole_crop_quality
from edge_reid.vision.embed import Embedder
from edge_reid.vision.photo import read_photo
from trainer.data.datasets import IntArray, PersonData
from trainer.data.pictures import Unreadable
from trainer.files.progress_bars import bar

FloatArray: TypeAlias = npt.NDArray[np.float32]

_THUMBNAIL_PX = (12, 24)
"""(width, height): small enough that saving a picture again leaves no trace."""


@dataclass(frozen=True, slots=True, eq=False)
class PictureScan:
    """What is known of N readable pictures, row by row, and of those that are not."""

    data: PersonData
    """The readable ones."""
    unreadable: tuple[Unreadable, ...]
    sha256: tuple[str, ...]
    """Hex, of each file's bytes."""
    sizes_px: IntArray
    """(N, 2): width and height."""
    thumbnails: FloatArray
    """(N, 288) grey levels of a 12 × 24 px version."""
    qualities: FloatArray
    """(N,) as the device rates crops, 0..1."""
    embeddings: FloatArray
    """(N, D) unit rows."""


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    sha256: str
    size_px: tuple[int, int]
    thumbnail: FloatArray
    quality: float
    embedding: Vector


def scan_pictures(data: PersonData, embedder: Embedder) -> PictureScan:
    """Decode and embed each picture, one at a time, so that memory does not grow with their size.

    Raises:
        TrainingError: not one can be read.
    """
    looks = [_look(path, embedder) for path in bar(data.paths, "looking at pictures")]
    seen = [look for look in looks if isinstance(look, _Seen)]
    bad = tuple(look for look in looks if isinstance(look, Unreadable))
    if not seen:
        raise TrainingError(f"data: expected readable pictures, got none; {bad[0].reason}")
    return PictureScan(
        data.take(np.flatnonzero([isinstance(look, _Seen) for look in looks])),
        bad,
        tuple(look.sha256 for look in seen),
        np.array([look.size_px for look in seen], np.int64),
        np.stack([look.thumbnail for look in seen]),
        np.array([look.quality for look in seen], np.float32),
        np.stack([look.embedding for look in seen]),
    )


def people_of(data: PersonData) -> list[IntArray]:
    """For each identity the rows of its pictures; may be empty."""
    order = np.argsort(data.labels, kind="stable")
    starts = np.searchsorted(data.labels[order], np.arange(len(data.identities) + 1))
    return [order[a:b] for a, b in pairwise(starts)]


def in_words(path: Path) -> str:
    """A picture by its folder and name, which is how people find it."""
    return f"{path.parent.name}/{path.name}"


def _look(path: Path, embedder: Embedder) -> _Seen | Unreadable:
    try:
        photo = read_photo(path)
    except PhotoError as error:
        return Unreadable(path, str(error))
    height, width = photo.image.shape[:2]
    return _Seen(
        photo.sha256,
        (width, height),
        _thumbnail(photo.image),
        whole_crop_quality(photo.image),
        embedder.embed([photo.image])[0],
    )


def _thumbnail(image: Image) -> FloatArray:
    grey = cv2.cvtColor(
        cv2.resize(image, _THUMBNAIL_PX, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY
    )
    return np.asarray(grey, np.float32).ravel()
