"""People as points whose similarities are known, for tests of thresholds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_reid.core.manifest import EmbeddingManifest
from trainer.data.datasets import NO_CAMERA, PersonData
from trainer.scoring.crop_embeddings import CropEmbeddings
from trainer.thresholds.threshold_table import Embedded


def crowd(
    people: int,
    *,
    cameras: int = 3,
    crops: int = 3,
    noise: float = 0.7,
    seed: int = 0,
    known_cameras: bool = True,
) -> Embedded:
    """Directions drawn at random, and pictures of random quality scattered around them."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), cameras * crops)
    directions = rng.normal(size=(people, 24))
    rows = directions[labels] + noise * rng.normal(size=(len(labels), 24))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    seen_by = np.tile(np.repeat(np.arange(cameras), crops), people)
    data = PersonData(
        tuple(Path(f"{number}.jpg") for number in range(len(labels))),
        labels,
        seen_by if known_cameras else np.full(len(labels), NO_CAMERA),
        tuple(f"person-{number}" for number in range(people)),
    )
    qualities = np.random.default_rng([seed, 1]).uniform(0.2, 0.9, len(labels))
    crops = CropEmbeddings(rows.astype(np.float32), qualities)
    return Embedded(f"crowd-{people}", data, crops)


def manifest() -> EmbeddingManifest:
    """Of a network with a table of its own."""
    return EmbeddingManifest(
        name="net",
        sha256="0" * 64,
        input_height_px=64,
        input_width_px=32,
        licence="free",
        source="a test",
        dimension=24,
        impostor_quantiles=((0.1, 0.3),),
    )
