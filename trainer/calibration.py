"""Which crops may set the ranges of int8 activations."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt

ImageBatch = npt.NDArray[np.uint8]

FAR_OUT = 3.0
"""Times the median of a layer's peak at which a crop is no ordinary one."""
_UNBOUNDED = ("_project_bn", "_add")
"""Ends of the names of layers whose output no ReLU6 bounds."""
_BATCH = 64


def ordinary_crops(embedder: keras.Model, crops: ImageBatch) -> ImageBatch:
    """The crops whose peak activation stays ordinary in every layer.

    The converter takes a tensor's range from the least and largest value it sees. A network may
    answer a rare pattern with activations twenty times as large as any other (white tiles in 8 %
    of the CUHK03 crops did that), and a range that holds these leaves everybody else a few
    steps: mean cosine to the float model 0.938, without them 0.996. Left out here, they saturate.

    Args:
        embedder: (B, H, W, 3) RGB 0..255 → (B, D).
        crops: (N, H, W, 3) RGB uint8.

    Returns:
        At least half of the crops, in their order.
    """
    peaks = _peaks(embedder, crops)
    limits = FAR_OUT * np.median(peaks, axis=0)
    return np.asarray(crops[(peaks <= limits).all(axis=1)], np.uint8)


def _peaks(embedder: keras.Model, crops: ImageBatch) -> npt.NDArray[np.float32]:
    """(N, layers) largest magnitude of each map that no ReLU6 bounds, per crop."""
    maps = [layer.output for layer in embedder.layers if layer.name.endswith(_UNBOUNDED)]
    watched = keras.Model(embedder.input, [*maps, embedder.output])
    rows = []
    for start in range(0, len(crops), _BATCH):
        batch = crops[start : start + _BATCH].astype(np.float32)
        outputs = [keras.ops.convert_to_numpy(each) for each in watched(batch, training=False)]
        rows.append([np.abs(each).reshape(len(batch), -1).max(axis=1) for each in outputs])
    return np.concatenate([np.stack(row, axis=1) for row in rows])
