"""Non-maximum suppression: one box for each heap of boxes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_reid.core.geometry import Boxes


def suppress(boxes: Boxes, scores: NDArray[np.float32], max_iou: float) -> NDArray[np.intp]:
    """Greedy non-maximum suppression: the indices that stay, by falling score.

    A box goes when it overlaps one of higher score by more than `max_iou`; of equal scores the
    first counts as higher.
    """
    corner_and_size = np.hstack((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]))
    kept = cv2.dnn.NMSBoxes(corner_and_size.tolist(), scores.tolist(), 0.0, max_iou)
    return np.asarray(kept, np.intp)
