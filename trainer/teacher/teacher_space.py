"""The space a student shares with teachers of more numbers than its own."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import TrainingError
from edge_reid.matching.vectors import unit_rows
from trainer.files.arrays import BrokenArraysError, read_arrays, write_arrays
from trainer.recipe.recipe import Recipe

FloatArray: TypeAlias = npt.NDArray[np.float32]

TEACHER_SPACE = "teacher_space.npz"
"""In a run's folder: `directions` (T, D), orthonormal columns."""
_DIRECTIONS = "directions"


def find_directions(recipe: Recipe, rows: FloatArray, run: Path) -> FloatArray | None:
    """The directions (T, D) in which student and teachers are compared; None: training learns them.

    Args:
        recipe: says which.
        rows: (N, T) what the teachers say about the training pictures; zero where nothing.
        run: its folder, where principal directions are kept: other pictures have others, and
            weights mean something in those alone that they were trained in.

    Raises:
        TrainingError: the recipe names a file that is not there or does not fit.
    """
    if recipe.teacher_space == "learned":
        return None
    if recipe.teacher_space != "principal":
        return _read(Path(recipe.teacher_space), recipe.dimension)
    kept = run / TEACHER_SPACE
    if not kept.is_file():
        write_arrays(kept, {_DIRECTIONS: principal_directions(rows, recipe.dimension)})
    return _read(kept, recipe.dimension)


def principal_directions(rows: FloatArray, dimension: int) -> FloatArray:
    """The `dimension` orthonormal directions (T, D) that keep most of rows (N, T).

    Those of the largest singular values: no other plane keeps the cosines between rows better in
    the mean square (Eckart and Young, 1936).  Rows are not centred, as cosines are not.

    Raises:
        TrainingError: the teachers have fewer numbers than that.
    """
    if rows.shape[1] < dimension:
        raise TrainingError(
            f"teacher_space: expected teachers of {dimension} numbers or more, as the student has, "
            f"got {rows.shape[1]}; leave teacher_space at learned, or dimension at "
            f"{rows.shape[1]}"
        )
    double = rows.astype(np.float64)
    _, vectors = np.linalg.eigh(double.T @ double)
    return np.ascontiguousarray(vectors[:, ::-1][:, :dimension], np.float32)


def into_space(rows: FloatArray, directions: FloatArray | None) -> FloatArray:
    """Unit rows (N, D) of unit rows (N, T); rows of zeros stay zeros."""
    return rows if directions is None else unit_rows(rows @ directions)


def _read(file: Path, dimension: int) -> FloatArray:
    try:
        directions = read_arrays(file)[_DIRECTIONS].astype(np.float32)
    except (BrokenArraysError, KeyError) as error:
        raise TrainingError(
            f"teacher_space {file}: expected an .npz with `{_DIRECTIONS}` as a run leaves it: "
            f"{error}"
        ) from error
    if directions.ndim != 2 or directions.shape[1] != dimension:  # noqa: PLR2004
        raise TrainingError(
            f"teacher_space {file}: expected directions (T, {dimension}), got "
            f"{directions.shape}; it belongs to a student of another dimension"
        )
    return directions
