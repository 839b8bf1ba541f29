"""Visits of unknown people. Vectors are random but repeatable; a seed is a person."""

from __future__ import annotations

import numpy as np
from gallery_examples import DIMENSION, MODEL

from edge_reid.core.types import Embedding
from edge_reid.strangers.stranger import Visit


def looks(seed: int, count: int = 3, *, quality: float = 0.6, noise: float = 0.05, salt: int = 0):
    """Embeddings of one person, nearly alike, by falling quality."""
    centre = np.random.default_rng(seed).normal(size=DIMENSION)
    rng = np.random.default_rng([seed, salt])
    vectors = centre + noise * rng.normal(size=(count, DIMENSION))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return tuple(
        Embedding(vector.astype(np.float32), MODEL, quality - 0.01 * number)
        for number, vector in enumerate(vectors)
    )


def visit(seed: int, at_s: float = 0.0, camera: str = "gate", **changes: float) -> Visit:
    """Five seconds in view from `at_s` on."""
    return Visit(camera, at_s, at_s + 5.0, looks(seed, **changes))
