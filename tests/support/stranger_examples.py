"""Visits of unknown people. Vectors are random but repeatable; a seed is a person."""

from __future__ import annotations

import numpy as np
from support.gallery_examples import DIMENSION, MODEL

from edge_reid.core.types import Embedding
from edge_reid.strangers.stranger import Visit
from edge_reid.strangers.stranger_store import StrangerStore

KEEP_S = 3600.0


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


def opened(path, model_id=MODEL, keep_s=KEEP_S):
    """The strangers of a file, which is made if it is not there."""
    return StrangerStore.open_or_make(path, model_id=model_id, dimension=DIMENSION, keep_s=keep_s)
