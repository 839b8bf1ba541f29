"""The one vector that the crops of a track are compared by: on the device, and in the trainer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_reid.core.errors import ModelMismatchError
from edge_reid.core.manifest import model_in_words
from edge_reid.core.types import Embedding, Vector, Vectors
from edge_reid.matching.vectors import unit

Qualities = NDArray[np.float64]
"""(N,) float64, how much each crop can say, 0..1 (`edge_reid.vision.crops.crop_quality`)."""


def fuse(vectors: Vectors, qualities: Qualities) -> Vector:
    """Σ qᵢvᵢ / ‖Σ qᵢvᵢ‖, (D,) float32 of unit norm; zeros when the sum vanishes.

    A crop of twice the quality counts twice:

    >>> fuse(np.eye(2, dtype=np.float32), np.array([0.8, 0.4])).round(3)
    array([0.894, 0.447], dtype=float32)

    Args:
        vectors: (N, D) unit rows, N ≥ 1.
        qualities: (N,) in [0, 1]; when all are zero, all count the same.
    """
    weights = qualities if qualities.any() else np.ones_like(qualities)
    return unit(weights @ vectors.astype(np.float64))


def mean_vector(embeddings: Sequence[Embedding], model_id: str) -> Vector | None:
    """`fuse` of the crops of one track, (D,) float32; None when they point nowhere.

    Raises:
        ModelMismatchError: one is of another model than `model_id`, the gallery's.
    """
    for embedding in embeddings:
        if embedding.model_id != model_id:
            raise ModelMismatchError(
                f"expected embeddings of the gallery's model {model_in_words(model_id)}, got one "
                f"of {model_in_words(embedding.model_id)}; give the gallery's as --model, or "
                "enroll the people again"
            )
    vectors = np.stack([embedding.vector for embedding in embeddings])
    direction = fuse(vectors, np.array([embedding.quality for embedding in embeddings]))
    return direction if direction.any() else None
