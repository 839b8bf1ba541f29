"""How similar strangers look to the box, and how unlike one person looks: for its thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from trainer.datasets import IntArray, PersonData

FloatArray: TypeAlias = npt.NDArray[np.float32]
Quantiles: TypeAlias = tuple[tuple[float, float], ...]

TRACK_CROPS = 5
"""Crops of a track that the box decides on, by default."""
COMPARISONS_BEYOND = 30
"""A quantile is given only where at least this many comparisons lie beyond it."""
_SMALLEST_DECADE = -6
_GRID = tuple(
    float(f"{digit}e{decade}")
    for decade in range(-1, _SMALLEST_DECADE - 1, -1)
    for digit in (5, 2, 1)
)


def decision_similarities(
    data: PersonData, embeddings: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Similarities as the box computes them, of (impostor, genuine) comparisons; two flat arrays.

    A track, the mean of up to `TRACK_CROPS` crops of a person under one camera brought back to
    unit norm, is compared with a template, one crop of a person under another camera. Means look
    more alike than single pictures do: a threshold taken from pairs of pictures lets more
    strangers in than promised. Where cameras are not known, the two halves of a person's pictures
    stand for two cameras.

    Args:
        data: who and under which camera; people without a label (below 0) are left out.
        embeddings: (N, D) unit rows, in the order of `data`.
    """
    cameras = data.cameras if data.has_cameras else _halves(data.labels)
    impostor: list[FloatArray] = []
    genuine: list[FloatArray] = []
    for label, camera, crops in _tracks(data.labels, cameras):
        total = embeddings[crops].sum(axis=0)
        similarity = embeddings @ (total / np.linalg.norm(total))
        elsewhere = (cameras != camera) & (data.labels >= 0)
        impostor.append(similarity[elsewhere & (data.labels != label)])
        genuine.append(similarity[elsewhere & (data.labels == label)])
    return np.concatenate(impostor), np.concatenate(genuine)


def impostor_quantiles(similarities: Sequence[FloatArray]) -> Quantiles:
    """(p, similarity): the share p of impostor comparisons reaches the similarity; p falls."""
    pooled = np.concatenate(similarities)
    return tuple((p, float(np.quantile(pooled, 1 - p))) for p in _supported(len(pooled)))


def genuine_quantiles(similarities: Sequence[FloatArray]) -> Quantiles:
    """(p, similarity): the share p of genuine comparisons stays below the similarity; p falls."""
    pooled = np.concatenate(similarities)
    return tuple((p, float(np.quantile(pooled, p))) for p in _supported(len(pooled)))


def _tracks(labels: IntArray, cameras: IntArray) -> Iterator[tuple[int, int, IntArray]]:
    """(person, camera, rows of its crops) for everybody under every camera."""
    for label, camera in np.unique(np.stack([labels, cameras], axis=1), axis=0):
        if label >= 0:
            rows = np.flatnonzero((labels == label) & (cameras == camera))
            yield int(label), int(camera), _spread(rows, TRACK_CROPS)


def _spread(rows: IntArray, count: int) -> IntArray:
    """At most so many rows, evenly spread: neighbours in a sequence look the same."""
    chosen = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.int64)
    return np.asarray(rows[chosen], np.int64)


def _halves(labels: IntArray) -> IntArray:
    """0 for the first half of each person's rows, 1 for the rest."""
    halves = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        halves[rows[len(rows) // 2 :]] = 1
    return halves


def _supported(comparisons: int) -> tuple[float, ...]:
    return tuple(p for p in _GRID if p * comparisons >= COMPARISONS_BEYOND)
