"""NanoDet: four distributions a cell, one for the distance to each side of the box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_reid.core.geometry import Boxes
from edge_reid.core.manifest import DetectorManifest
from edge_reid.vision.detectors.family import Array, DetectorFamily
from edge_reid.vision.detectors.grid import Cells, GridFamily
from edge_reid.vision.runtime import TensorSpec

NANODET_BINS = 11
"""A distance is told as a distribution over 0..10 strides."""


def nanodet_family(
    manifest: DetectorManifest, outputs: Sequence[TensorSpec], where: str, /
) -> DetectorFamily:
    """See `FamilyMaker`."""
    values = 4 * NANODET_BINS
    return GridFamily(manifest, outputs, where, values_per_cell=values, read_boxes=nanodet_boxes)


def nanodet_boxes(raw: Array, cells: Cells) -> Boxes:
    """NanoDet's four distributions a cell: (N, 44) → (N, 4) in canvas pixels.

    The distance from the cell's centre to each side is the expectation of a softmax over the bins,
    times the stride (Li et al., "Generalized Focal Loss", 2020, eq. 5).
    """
    bins = raw.reshape(-1, 4, NANODET_BINS)
    weights = np.exp(bins - bins.max(axis=2, keepdims=True))
    expected = weights @ np.arange(NANODET_BINS, dtype=np.float32) / weights.sum(axis=2)
    distances = expected * cells.strides
    centres = (cells.columns_rows + np.float32(0.5)) * cells.strides
    return np.hstack((centres - distances[:, :2], centres + distances[:, 2:]))
