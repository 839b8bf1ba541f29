"""Teachers that are asked at every step, about the very views that the student sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from edge_reid.matching.vectors import unit_rows
from trainer.recipe.recipe import Recipe, Teacher
from trainer.teacher.teacher_network import TeacherNetwork, embed_batch, open_teacher

FloatArray: TypeAlias = npt.NDArray[np.float32]
ImageBatch: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class OnlineTeachers:
    """Networks and how each is fed; what they say is concatenated."""

    networks: tuple[tuple[Teacher, TeacherNetwork], ...]

    def __call__(self, views: ImageBatch) -> FloatArray:
        """Unit rows (B, T) for views (B, H, W, 3) RGB uint8 of any size."""
        said = [_ask(teacher, network, views) for teacher, network in self.networks]
        return unit_rows(np.concatenate(said, axis=1))


def open_online(recipe: Recipe) -> OnlineTeachers | None:
    """The recipe's teachers if they are asked online; None where they are stored or none.

    Raises:
        TrainingError: a network cannot be used.
    """
    online = [teacher for teacher in recipe.teachers if teacher.online]
    if not online:
        return None
    return OnlineTeachers(tuple((teacher, open_teacher(teacher)) for teacher in online))


def _ask(teacher: Teacher, network: TeacherNetwork, views: ImageBatch) -> FloatArray:
    size = network.width_px, network.height_px
    crops = np.stack([cv2.resize(view, size, interpolation=cv2.INTER_LINEAR) for view in views])
    return np.concatenate(
        [embed_batch(network, part, mirror=teacher.mirror) for part in _parts(crops, network.batch)]
    )


def _parts(crops: ImageBatch, most: int) -> Sequence[ImageBatch]:
    return [crops[i : i + most] for i in range(0, len(crops), most)]
