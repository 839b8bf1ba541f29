"""What a student is to answer: its teachers' answers, less what they say of the camera.

A teacher's embedding says whom it sees and, a little, through which camera: people of one camera
are more alike than they should be.  A student that learns it all learns that too.  Taking a
camera's mean away adapts a network to a camera without labels (as camera-based normalisation,
Zhuang et al., ECCV 2020); done to the targets, where cameras are known, the student learns to do
without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edge_reid.matching.vectors import unit_rows
from trainer.recipe.target_settings import Targets

FloatArray: TypeAlias = npt.NDArray[np.float32]
IntArray: TypeAlias = npt.NDArray[np.int64]

_PICTURES = 20
"""Of so many a camera is believed half: the mean of a few is that of the people on them."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Who is on pictures and through which camera; below 0 where nobody knows.

    Attributes:
        cameras: (N,) int64, or another number that pictures of one place share.
        people: (N,) int64.
    """

    cameras: IntArray
    people: IntArray


def targets_of(rows: FloatArray, seen: Seen, settings: Targets) -> FloatArray:
    """Unit rows (N, D) that the student learns, of its teachers' (N, D); zero rows stay zero.

    Args:
        rows: unit rows, zeros where a teacher says nothing.
        seen: of the same pictures.
        settings: how much of each.
    """
    said = np.any(rows != 0, axis=1)
    found = rows.copy()
    if settings.camera and said.any():
        found[said] = _without_camera(rows[said], seen.cameras[said], settings.camera)
    shown = said & (seen.people >= 0)
    if settings.identity and shown.any():
        people, cameras = seen.people[shown], seen.cameras[shown]
        found[shown] = _nearer_to_person(found[shown], people, cameras, settings.identity)
    return found


def _without_camera(rows: FloatArray, cameras: IntArray, share: float) -> FloatArray:
    """Unit rows of r - share · n / (n + 20) · (mean of its camera - mean of all)."""
    known, camera, pictures = np.unique(cameras, return_inverse=True, return_counts=True)
    believed = share * pictures / (pictures + _PICTURES) * (known >= 0)
    offsets = believed[:, None] * (_means(rows, camera) - rows.mean(axis=0))
    return unit_rows(rows - offsets.astype(np.float32)[camera])


def _nearer_to_person(
    rows: FloatArray, people: IntArray, cameras: IntArray, share: float
) -> FloatArray:
    """Unit rows on the way from each row to its person's mean, where every camera counts once."""
    views, view = np.unique(np.stack([people, cameras]), axis=1, return_inverse=True)
    person = np.unique(views[0], return_inverse=True)[1]
    of_person = unit_rows(_means(_means(rows, view), person))
    return unit_rows((1.0 - share) * rows + share * of_person[person[view]])


def _means(rows: FloatArray | npt.NDArray[np.float64], group: IntArray) -> npt.NDArray[np.float64]:
    """(G, D) means of the rows (N, D) of each group; groups are numbered from 0 without a gap."""
    sums = np.zeros((group.max() + 1, rows.shape[1]))
    np.add.at(sums, group, rows)
    return sums / np.bincount(group)[:, None]
