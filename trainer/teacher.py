"""Stored teacher embeddings for distillation, matched to training images by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import TrainingError


def load_teacher(
    file: Path, paths: Sequence[Path], dimension: int
) -> tuple[npt.NDArray[np.float32], int]:
    """Unit teacher rows (N, D) float32 for `paths`, and how many paths have none (a zero row).

    A stored name such as `market1501/bounding_box_train/x.jpg` matches a path that ends so.
    """
    with np.load(file) as stored:
        names, embeddings = stored["names"], stored["emb"]
    if embeddings.shape[1] != dimension:
        raise TrainingError(
            f"teacher {file}: expected embeddings of {dimension} numbers like the student's, "
            f"found {embeddings.shape[1]}; set dimension = {embeddings.shape[1]}"
        )
    depth = names[0].decode().count("/") + 1
    row = {name.decode(): index for index, name in enumerate(names)}
    found = np.array([row.get("/".join(path.parts[-depth:]), -1) for path in paths])
    if not (found >= 0).any():
        raise TrainingError(
            f"teacher {file}: none of its names (like {names[0].decode()}) ends the path of a "
            "training image; check the folder names"
        )
    rows = embeddings[found].astype(np.float32)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    rows[found < 0] = 0.0
    return rows, int((found < 0).sum())
