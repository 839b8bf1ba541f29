"""What the device looks up: a track, the mean of a few crops of one person under one camera."""

from __future__ import annotations

import numpy as np

from trainer.scoring.ranking_metrics import FloatArray, IntArray, People

TRACK_CROPS = 5
"""Crops of a track that the device decides on, by default."""


def mean_tracks(people: People) -> People:
    """One row per person and camera: the mean of up to `TRACK_CROPS` crops, at unit norm.

    Negative labels (junk) make no track. Rows are in the order of (label, camera).
    """
    known = np.flatnonzero(people.labels >= 0)
    keys = np.stack([people.labels[known], people.cameras[known]], axis=1)
    pairs, group = np.unique(keys, axis=0, return_inverse=True)
    means = np.empty((len(pairs), people.embeddings.shape[1]), np.float32)
    by_group = known[np.argsort(group.ravel(), kind="stable")]
    ends = np.cumsum(np.bincount(group.ravel(), minlength=len(pairs)))
    for mean, rows in zip(means, np.split(by_group, ends[:-1]), strict=True):
        mean[:] = unit(people.embeddings[_spread(rows, TRACK_CROPS)].sum(axis=0))
    return People(means, pairs[:, 0], pairs[:, 1])


def two_views(labels: IntArray) -> IntArray:
    """Stand-ins for unknown cameras: 0 for the first half of each person's rows, 1 for the rest."""
    views = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        views[rows[len(rows) // 2 :]] = 1
    return views


def _spread(rows: IntArray, count: int) -> IntArray:
    """At most so many rows, evenly spread: neighbours in a sequence look the same."""
    chosen = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.int64)
    return np.asarray(rows[chosen], np.int64)


def unit(vector: FloatArray) -> FloatArray:
    """A vector at L2 norm 1; nothing stays nothing."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), np.float32)
