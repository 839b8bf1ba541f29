"""Small galleries to test with. Vectors are random but repeatable."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from edge_reid.core.types import Embedding, GallerySnapshot, Template, Vectors

MODEL = "0123456789abcdef"
OTHER_MODEL = "fedcba9876543210"
DIMENSION = 16


def unit_vectors(count: int, dimension: int = DIMENSION, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def template(identity: str, seed: int = 0, **changes: object) -> Template:
    """A template whose photo and vector follow from name and seed."""
    source = hashlib.sha256(f"{identity} {seed}".encode()).hexdigest()
    fields = {
        "identity": identity,
        "vector": unit_vectors(1, seed=int(source[:8], 16))[0],
        "model_id": MODEL,
        "quality": 0.75,
        "source_sha256": source,
        "created_utc_s": 1_760_000_000.5 + seed,
    }
    return Template(**(fields | changes))  # type: ignore[arg-type]


def snapshot_of(vectors: Vectors, labels: Sequence[int] | None = None) -> GallerySnapshot:
    """A gallery of `id-0`, `id-1`, …; by default a template each."""
    numbers = np.array(range(len(vectors)) if labels is None else labels, np.int32)
    names = tuple(f"id-{number}" for number in range(int(numbers.max(initial=-1)) + 1))
    return GallerySnapshot(names, numbers, vectors, MODEL, version=1)


def embeddings_of(
    vectors: Vectors, qualities: Sequence[float] | None = None, model_id: str = MODEL
) -> list[Embedding]:
    weights = [0.5] * len(vectors) if qualities is None else qualities
    return [
        Embedding(vector, model_id, quality)
        for vector, quality in zip(vectors, weights, strict=True)
    ]
