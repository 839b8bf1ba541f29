"""Light of another colour, half undone: crops balanced towards a mean that is grey.

Two cameras show one coat blue and grey. Over many scenes the mean colour is about grey (the
grey-world assumption: Buchsbaum, "A spatial processor model for object colour perception", Journal
of the Franklin Institute 310, 1980); over one person it is not, so a model says which share of the
cast is to be taken out.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_reid.core.types import Image

_VALUES = np.arange(256.0)
_DARKEST = 1.0
"""A channel of nothing but black has no cast that could be told."""


def balanced(crop: Image, share: float) -> Image:
    """The crop (H, W, 3) RGB uint8 with each channel multiplied by (mean of all / its mean)^share.

    share 0 leaves it as it is, 1 makes the means of the three channels equal.
    """
    if not share:
        return crop
    means = np.maximum(cv2.mean(crop)[:3], _DARKEST)
    gains = (means.mean() / means) ** share
    table = np.rint(np.outer(_VALUES, gains)).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(crop, table[np.newaxis]), np.uint8)


def balanced_batch(crops: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """Each of (N, H, W, 3) as `balanced`; the same array where nothing changes."""
    if not share or not len(crops):
        return crops
    return np.stack([balanced(crop, share) for crop in crops])
