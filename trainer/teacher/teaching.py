"""All that teachers say in a run, in the space that the student shares with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from trainer.recipe.recipe import Recipe
from trainer.teacher.online_teacher import open_online
from trainer.teacher.stored_teacher import find_teachers
from trainer.teacher.student_targets import Seen, targets_of
from trainer.teacher.teacher_space import find_directions, into_space

FloatArray: TypeAlias = npt.NDArray[np.float32]
ImageBatch: TypeAlias = npt.NDArray[np.uint8]

_ANY_SIZE = 64, 32
"""Height and width in pixels of a view that shows how many numbers teachers say."""


@dataclass(frozen=True, slots=True, eq=False)
class Teaching:
    """What teachers say in a run: rows of the training pictures, or whom to ask.

    Attributes:
        rows: (N, D) float32 unit rows that the student learns for the training pictures, by the
            recipe's targets; zeros where nothing is said.
        online: views (B, H, W, 3) RGB uint8 → (B, D) float32; None: all was asked before.
        dimension: D.
    """

    rows: FloatArray
    online: Callable[[ImageBatch], FloatArray] | None
    dimension: int


def find_teaching(recipe: Recipe, pictures: Sequence[Path], seen: Seen, run: Path) -> Teaching:
    """Ask the recipe's teachers about the training pictures, or make ready to ask as it trains.

    Args:
        recipe: says whom, and what is made of their answers.
        pictures: N.
        seen: who is on them, through which camera.
        run: its folder.

    Raises:
        TrainingError: a loss needs a teacher and there is none, or one cannot be used.
    """
    answers = find_teachers(recipe, pictures, run)
    if answers.missing:
        print(answers.remark())
    directions = find_directions(recipe, answers.rows, run)
    if (online := open_online(recipe)) is None:
        rows = targets_of(into_space(answers.rows, directions), seen, recipe.targets)
        return Teaching(rows, None, rows.shape[1])
    blank = np.zeros((1, *_ANY_SIZE, 3), np.uint8)
    dimension = into_space(online(blank), directions).shape[1]
    return Teaching(answers.rows, lambda views: into_space(online(views), directions), dimension)
