"""What anchor-free detectors say, turned into boxes, for the cells asked about and no others.

A detector looks at its canvas in cells, a grid for each stride (8, 16, 32 canvas pixels), and says
for every cell a score and a few raw values that describe a box. Cells come stride by stride, row
by row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_reid.core.geometry import Boxes

Array = NDArray[np.float32]

NANODET_BINS = 11
"""NanoDet tells each side's distance as a distribution over 0..10 strides."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Where cells lie on the canvas."""

    columns_rows: Array
    """(N, 2): column and row, counted in cells of the same stride."""
    strides: Array
    """(N, 1): side of the cell in canvas pixels."""

    def __len__(self) -> int:
        return len(self.strides)

    def take(self, which: NDArray[np.intp]) -> Cells:
        """Some of the cells, by index."""
        return Cells(self.columns_rows[which], self.strides[which])


def cells_of(height_px: int, width_px: int, strides: Sequence[int]) -> Cells:
    """All cells of a canvas; a stride that does not divide a side covers it with one cell more."""
    grids = [
        np.indices((-(-height_px // stride), -(-width_px // stride)))[::-1].reshape(2, -1).T
        for stride in strides
    ]
    sides = np.repeat(np.asarray(strides, np.float32), [len(grid) for grid in grids])
    return Cells(np.concatenate(grids).astype(np.float32), sides[:, np.newaxis])


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


def yolox_boxes(raw: Array, cells: Cells) -> Boxes:
    """YOLOX's offset and log size a cell: (N, 4) → (N, 4) in canvas pixels.

    centre = (offset + cell) x stride, size = exp(log size) x stride (Ge et al., "YOLOX", 2021).
    """
    centres = (raw[:, :2] + cells.columns_rows) * cells.strides
    half_sizes = np.exp(raw[:, 2:]) * cells.strides / 2
    return np.hstack((centres - half_sizes, centres + half_sizes))


class Decoder(NamedTuple):
    """How one family of detectors is read."""

    values_per_cell: int
    boxes: Callable[[Array, Cells], Boxes]


DECODERS: Mapping[str, Decoder] = {
    "nanodet": Decoder(4 * NANODET_BINS, nanodet_boxes),
    "yolox": Decoder(4, yolox_boxes),
}
"""By the name a detector manifest calls them."""


def suppress(boxes: Boxes, scores: Array, max_iou: float) -> NDArray[np.intp]:
    """Greedy non-maximum suppression: the indices that stay, by falling score.

    A box goes when it overlaps one of higher score by more than `max_iou`; of equal scores the
    first counts as higher.
    """
    corner_and_size = np.hstack((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]))
    kept = cv2.dnn.NMSBoxes(corner_and_size.tolist(), scores.tolist(), 0.0, max_iou)
    return np.asarray(kept, np.intp)
