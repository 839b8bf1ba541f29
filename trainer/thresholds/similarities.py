"""Every comparison of a data set as the device makes it: of impostors, and of one person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from edge_reid.matching.index import exact_similarities
from trainer.data.datasets import PersonData
from trainer.scoring.crop_embeddings import CropEmbeddings
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
_CHUNK = 512
"""Templates compared at a time: in double precision they stay in a processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """Every comparison of T tracks with N templates.

    Attributes:
        tracks, templates: who and under which camera.
        similarity: (T, N) float32 cosines in [-1, 1].
        impostor: (T, N) bool, the comparisons of different people.
        genuine: (T, N) bool, those of one person under two cameras.
    """

    tracks: People
    templates: People
    similarity: FloatArray
    impostor: BoolArray
    genuine: BoolArray


def decisions(data: PersonData, crops: CropEmbeddings) -> Decisions:
    """Compare tracks with templates as the device does, and with the device's own code.

    A track (`mean_tracks`) meets templates of one crop each: those of all other people, whichever
    camera saw them (a gallery may well be enrolled at the very camera, where impostors look more
    alike), and those of the same person under other cameras. Means look more alike than single
    pictures do: a threshold taken from pairs of pictures lets more impostors in than promised.
    Where cameras are not known, the two halves of a person's pictures stand for two cameras.

    Args:
        data: who and under which camera; people without a label (below 0) are left out.
        crops: embeddings of its pictures, in its order.
    """
    known = data.labels >= 0
    labels = data.labels[known]
    cameras = data.cameras[known] if data.has_cameras else two_views(labels)
    templates = People(crops.rows[known], labels, cameras, crops.qualities[known])
    tracks = mean_tracks(templates)
    same = tracks.labels[:, None] == labels
    apart = tracks.cameras[:, None] != cameras
    return Decisions(tracks, templates, _compared(tracks, templates), ~same, same & apart)


def photo_decisions(queries: People, gallery: People, *, cross_camera: bool = True) -> Decisions:
    """Compare photos that were kept aside with templates of the photos that were not.

    For people who are trained on: only a photo that the network has not seen says how they are
    found again.

    Args:
        queries: the photos kept aside; several of a person and camera make one track.
        gallery: the others.
        cross_camera: False also counts comparisons under one camera as genuine.
    """
    tracks = mean_tracks(queries)
    same = tracks.labels[:, None] == gallery.labels
    apart = tracks.cameras[:, None] != gallery.cameras
    if not cross_camera:
        apart[:] = True
    return Decisions(tracks, gallery, _compared(tracks, gallery), ~same, same & apart)


def decision_similarities(data: PersonData, crops: CropEmbeddings) -> tuple[FloatArray, FloatArray]:
    """Similarities of (impostor, genuine) `decisions`: two flat float32 arrays.

    >>> rows = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    >>> who, cameras = np.array([0, 0, 1]), np.array([1, 2, 1])
    >>> data = PersonData(("a.jpg", "b.jpg", "c.jpg"), who, cameras, ("anna", "ben"))
    >>> impostor, genuine = decision_similarities(data, CropEmbeddings.of_equal_quality(rows))
    >>> impostor.round(1).tolist() == [0.0, rows[1, 1], 0.0, rows[1, 1]]  # anna with ben, twice
    True
    >>> genuine.tolist() == [rows[1, 0]] * 2  # anna with herself under the other camera
    True
    """
    made = decisions(data, crops)
    return made.similarity[made.impostor], made.similarity[made.genuine]


def _compared(tracks: People, templates: People) -> FloatArray:
    """(T, N) similarities, to the bit those that the device's index finds."""
    similarity = np.empty((len(tracks.labels), len(templates.labels)), np.float32)
    for start in range(0, len(templates.labels), _CHUNK):
        part = slice(start, start + _CHUNK)
        rows = templates.embeddings[part].astype(np.float64)
        for row, track in zip(similarity, tracks.embeddings, strict=True):
            row[part] = exact_similarities(track, rows)
    # Rounding takes the product of two unit rows past 1, which no manifest may hold.
    return np.clip(similarity, -1.0, 1.0)
