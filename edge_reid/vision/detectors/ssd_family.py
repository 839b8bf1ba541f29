"""SSD: offsets from anchors, on a frame that is stretched to the input.

An anchor is a box of fixed size around the centre of a cell; cells lie on a grid for each stride.
The network says for every anchor a score, and by how much a person's box differs from it (Liu et
al., "SSD: Single Shot MultiBox Detector", ECCV 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import numpy as np
from pydantic import Field

from edge_reid.core.errors import ModelError
from edge_reid.core.geometry import Boxes
from edge_reid.core.manifest import DetectorManifest
from edge_reid.core.types import Image
from edge_reid.vision.detectors.family import (
    Array,
    Canvas,
    DetectorFamily,
    FamilySettings,
    settings_in,
)
from edge_reid.vision.preprocess import stretch
from edge_reid.vision.runtime import TensorSpec

CENTRE_VARIANCE = np.float32(0.1)
SIZE_VARIANCE = np.float32(0.2)
"""What offsets of centres and of log sizes were divided by in training (Caffe's SSD)."""

Side: TypeAlias = Annotated[float, Field(gt=0, le=4096)]


class AnchorLevel(FamilySettings):
    """The anchors of one grid."""

    stride: Annotated[int, Field(gt=0, le=1024)]
    """Side of a cell in canvas pixels."""
    sizes: Annotated[tuple[tuple[Side, Side], ...], Field(min_length=1, max_length=32)]
    """Width and height of each anchor of a cell in canvas pixels, in the order of the outputs."""


class SsdSettings(FamilySettings):
    """`decoder_settings` of this family."""

    anchors: Annotated[tuple[AnchorLevel, ...], Field(min_length=1, max_length=8)]
    """In the order of the outputs."""


def ssd_family(
    manifest: DetectorManifest, outputs: Sequence[TensorSpec], where: str, /
) -> DetectorFamily:
    """See `FamilyMaker`."""
    return _SsdFamily(manifest, outputs, where)


class _SsdFamily:
    def __init__(
        self, manifest: DetectorManifest, outputs: Sequence[TensorSpec], where: str
    ) -> None:
        self._size_px = manifest.input_height_px, manifest.input_width_px
        settings = settings_in(manifest, SsdSettings, where)
        self._anchors = anchor_boxes(*self._size_px, settings.anchors)
        self._offsets, self._scores = _find(outputs, len(self._anchors), where)

    def canvas_of(self, image: Image) -> Canvas:
        height, width = self._size_px
        return Canvas(
            stretch(image, height, width), (width / image.shape[1], height / image.shape[0])
        )

    def people(self, outputs: Sequence[Array], weak_score: float) -> tuple[Boxes, Array]:
        scores = outputs[self._scores][0, :, 0]
        likely = np.flatnonzero(scores >= weak_score)
        boxes = ssd_boxes(outputs[self._offsets][0, likely], self._anchors[likely])
        return boxes, scores[likely]


def anchor_boxes(height_px: int, width_px: int, levels: Sequence[AnchorLevel]) -> Array:
    """All anchors of a canvas: (N, 4) centre x, centre y, width, height in canvas pixels.

    Level by level, row by row, those of a cell in the order of their sizes.

    >>> anchor_boxes(32, 32, [AnchorLevel(stride=32, sizes=((8.0, 16.0),))])
    array([[16., 16.,  8., 16.]], dtype=float32)
    """
    return np.concatenate([_of_level(height_px, width_px, level) for level in levels])


def _of_level(height_px: int, width_px: int, level: AnchorLevel) -> Array:
    cells = -(-height_px // level.stride), -(-width_px // level.stride)
    rows, columns = np.indices(cells).reshape(2, -1)
    anchors = np.empty((len(rows), len(level.sizes), 4), np.float32)
    anchors[..., 0] = ((columns + 0.5) * level.stride)[:, np.newaxis]
    anchors[..., 1] = ((rows + 0.5) * level.stride)[:, np.newaxis]
    anchors[..., 2:] = np.asarray(level.sizes, np.float32)
    return anchors.reshape(-1, 4)


def ssd_boxes(offsets: Array, anchors: Array) -> Boxes:
    """Offsets (N, 4) from anchors (N, 4) → boxes (N, 4) in the anchors' pixels.

    centre = anchor's centre + 0.1 x offset x anchor's size, size = anchor's size x
    exp(0.2 x offset).

    >>> ssd_boxes(np.zeros((1, 4), np.float32), np.array([[16, 16, 8, 16]], np.float32))
    array([[12.,  8., 20., 24.]], dtype=float32)
    """
    centres = anchors[:, :2] + CENTRE_VARIANCE * offsets[:, :2] * anchors[:, 2:]
    half_sizes = anchors[:, 2:] * np.exp(SIZE_VARIANCE * offsets[:, 2:]) / 2
    return np.hstack((centres - half_sizes, centres + half_sizes))


def _find(outputs: Sequence[TensorSpec], anchors: int, where: str) -> tuple[int, int]:
    """Positions of the offsets and of the scores: converters do not keep an order."""
    offsets, scores = (1, anchors, 4), (1, anchors, 1)
    found = [spec.shape for spec in outputs]
    if sorted(found) != sorted((offsets, scores)):
        raise ModelError(
            f"{where}: decoder 'ssd' with {anchors} anchors expects {offsets} and {scores} out, "
            f"the file gives {found}; correct the manifest"
        )
    return found.index(offsets), found.index(scores)
