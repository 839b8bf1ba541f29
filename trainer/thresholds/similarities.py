"""How similar strangers look to the device, and how unlike one person looks: for its thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from trainer.data.datasets import PersonData
from trainer.scoring.ranking_metrics import BoolArray, FloatArray, People
from trainer.scoring.track_means import mean_tracks, two_views

Quantiles: TypeAlias = tuple[tuple[float, float], ...]

_SMALLEST_DECADE = -6
GRID = tuple(
    float(f"{digit}e{decade}")
    for decade in range(-1, _SMALLEST_DECADE - 1, -1)
    for digit in (5, 2, 1)
)
"""Shares of comparisons that quantiles are given for, falling from 0.5 to 1e-6."""


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """Every comparison of T tracks with N templates.

    Attributes:
        tracks, templates: who and under which camera.
        similarity: (T, N) float32.
        impostor: (T, N) bool, the comparisons of different people.
        genuine: (T, N) bool, those of one person under two cameras.
    """

    tracks: People
    templates: People
    similarity: FloatArray
    impostor: BoolArray
    genuine: BoolArray


def decisions(data: PersonData, embeddings: FloatArray) -> Decisions:
    """Compare tracks with templates as the device does.

    A track, the mean of up to `TRACK_CROPS` crops of a person under one camera brought back to
    unit norm, meets templates of one crop each: those of all other people, whichever camera saw
    them (a gallery may well be enrolled at the very camera, where strangers look more alike), and
    those of the same person under other cameras. Means look more alike than single pictures do: a
    threshold taken from pairs of pictures lets more strangers in than promised. Where cameras are
    not known, the two halves of a person's pictures stand for two cameras.

    Args:
        data: who and under which camera; people without a label (below 0) are left out.
        embeddings: (N, D) unit rows, in the order of `data`.
    """
    known = data.labels >= 0
    labels = data.labels[known]
    cameras = data.cameras[known] if data.has_cameras else two_views(labels)
    templates = People(embeddings[known], labels, cameras)
    tracks = mean_tracks(templates)
    same = tracks.labels[:, None] == labels
    apart = tracks.cameras[:, None] != cameras
    # Rounding takes the product of two unit rows past 1, which no manifest may hold.
    similarity = np.clip(tracks.embeddings @ templates.embeddings.T, -1.0, 1.0)
    return Decisions(tracks, templates, similarity, ~same, same & apart)


def photo_decisions(queries: People, gallery: People, *, cross_camera: bool = True) -> Decisions:
    """Compare photos that were kept aside with templates of the photos that were not.

    For people who are trained on: only a photo that the network has not seen says how they are
    found again. Rows of both are at unit norm. Without `cross_camera` a photo may be found by
    one of its own camera.
    """
    tracks = mean_tracks(queries)
    same = tracks.labels[:, None] == gallery.labels
    apart = tracks.cameras[:, None] != gallery.cameras
    if not cross_camera:
        apart[:] = True
    similarity = np.clip(tracks.embeddings @ gallery.embeddings.T, -1.0, 1.0)
    return Decisions(tracks, gallery, similarity, ~same, same & apart)


def decision_similarities(
    data: PersonData, embeddings: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Similarities of (impostor, genuine) `decisions`; two flat arrays."""
    made = decisions(data, embeddings)
    return made.similarity[made.impostor], made.similarity[made.genuine]
