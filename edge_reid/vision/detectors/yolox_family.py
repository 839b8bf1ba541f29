"""YOLOX: an offset and a log size a cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_reid.core.geometry import Boxes
from edge_reid.core.manifest import DetectorManifest
from edge_reid.vision.detectors.family import Array, DetectorFamily
from edge_reid.vision.detectors.grid import Cells, GridFamily
from edge_reid.vision.runtime import TensorSpec


def yolox_family(
    manifest: DetectorManifest, outputs: Sequence[TensorSpec], where: str, /
) -> DetectorFamily:
    """See `FamilyMaker`."""
    return GridFamily(manifest, outputs, where, values_per_cell=4, read_boxes=yolox_boxes)


def yolox_boxes(raw: Array, cells: Cells) -> Boxes:
    """YOLOX's offset and log size a cell: (N, 4) → (N, 4) in canvas pixels.

    centre = (offset + cell) x stride, size = exp(log size) x stride (Ge et al., "YOLOX", 2021).
    """
    centres = (raw[:, :2] + cells.columns_rows) * cells.strides
    half_sizes = np.exp(raw[:, 2:]) * cells.strides / 2
    return np.hstack((centres - half_sizes, centres + half_sizes))
