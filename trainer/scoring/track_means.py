"""What the device looks up: a track, fused from a few crops of one person under one camera."""

from __future__ import annotations

import numpy as np

from edge_reid.core.config.vision_settings import EmbedSettings
from edge_reid.matching.fusion import fuse
from trainer.scoring.ranking_metrics import IntArray, People


def crops_per_track() -> int:
    """How many crops of a track the device decides on, as the agent's settings have it.

    >>> crops_per_track()
    5
    """
    return EmbedSettings().crops_per_track


def mean_tracks(people: People) -> People:
    """One row per person and camera: up to `crops_per_track` crops, fused as the device does.

    >>> crops = np.array([[1, 0], [0, 1]], np.float32)
    >>> once = np.array([7, 7]), np.array([1, 1])  # person 7 under camera 1
    >>> mean_tracks(People(crops, *once, qualities=np.array([0.8, 0.6]))).embeddings
    array([[0.8, 0.6]], dtype=float32)

    Args:
        people: crops; negative labels (junk, distractors) make no track.

    Returns:
        (T, D) tracks in the order of (label, camera), each of the mean quality of its crops. One
        whose crops point nowhere is a row of zeros: like nobody.
    """
    known = np.flatnonzero(people.labels >= 0)
    keys = np.stack([people.labels[known], people.cameras[known]], axis=1)
    views, view_of = np.unique(keys, axis=0, return_inverse=True)
    by_view = known[np.argsort(view_of.ravel(), kind="stable")]
    ends = np.cumsum(np.bincount(view_of.ravel(), minlength=len(views)))
    chosen = [_spread(rows, crops_per_track()) for rows in np.split(by_view, ends[:-1])]
    tracks = [fuse(people.embeddings[rows], people.qualities[rows]) for rows in chosen]
    qualities = np.array([people.qualities[rows].mean() for rows in chosen])
    return People(np.stack(tracks), views[:, 0], views[:, 1], qualities)


def two_views(labels: IntArray) -> IntArray:
    """Stand-ins for unknown cameras: 0 for the first half of each person's rows, 1 for the rest.

    >>> two_views(np.array([3, 3, 3, 5, 5])).tolist()
    [0, 1, 1, 0, 1]
    """
    views = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        views[rows[len(rows) // 2 :]] = 1
    return views


def _spread(rows: IntArray, count: int) -> IntArray:
    """At most `count` of the rows, evenly spread: neighbours in a sequence look the same.

    >>> _spread(np.arange(10), 3).tolist()
    [0, 4, 9]
    """
    chosen = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.int64)
    return np.asarray(rows[chosen], np.int64)
