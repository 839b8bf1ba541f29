"""The teacher of a distillation: one embedding per training image, stored or made once.

A stored teacher is an `.npz` of `names` (N,) bytes and `emb` (N, T), rows of unit norm.  Any other
teacher is a network (`.tflite`, `.onnx`, `.keras`); it looks at the training images once, and what
it says is stored in the run's folder in the same form, so that to go on needs no teacher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import TrainingError
from trainer.arrays import BrokenArraysError, read_arrays, write_arrays
from trainer.recipe import Recipe, Teacher
from trainer.teacher_network import embed_paths

FloatArray: TypeAlias = npt.NDArray[np.float32]

COMPUTED = "teacher.npz"
"""Name of the file in the run's folder."""
_NAMED_MISSING = 5


@dataclass(frozen=True, slots=True, eq=False)
class TeacherRows:
    """What a teacher says about each of N images.

    Attributes:
        rows: (N, T) float32 of unit norm, or zero where it says nothing.
        missing: the images it says nothing about.
    """

    rows: FloatArray
    missing: tuple[Path, ...] = ()

    @property
    def dimension(self) -> int:
        """T."""
        return int(self.rows.shape[1])

    def remark(self) -> str:
        """How many images are missing, and the first of them."""
        names = ", ".join(str(path) for path in self.missing[:_NAMED_MISSING])
        more = " …" if len(self.missing) > _NAMED_MISSING else ""
        return (
            f"teacher: {len(self.missing)} of {len(self.rows)} images have no embedding there and "
            f"learn from their identity alone: {names}{more}"
        )


def find_teacher(recipe: Recipe, paths: Sequence[Path], run: Path) -> TeacherRows:
    """What the recipe's teacher says about the images at `paths`; nothing where it has none.

    Raises:
        TrainingError: a loss needs a teacher and there is none, or it cannot be used.
    """
    if recipe.teacher is None:
        if needing := recipe.losses.needing_teacher():
            raise TrainingError(
                f"losses {', '.join(needing)}: expected a teacher, the recipe names none"
            )
        return TeacherRows(np.zeros((len(paths), 1), np.float32))
    if recipe.teacher.path.suffix == ".npz":
        return load_stored(recipe.teacher.path, paths)
    return _computed(recipe.teacher, paths, run / COMPUTED)


def load_stored(file: Path, paths: Sequence[Path]) -> TeacherRows:
    """The stored embeddings of `paths`.

    A stored name such as `market1501/bounding_box_train/x.jpg` belongs to a path that ends so.

    Raises:
        TrainingError: the file is not a teacher, or says nothing about any of the images.
    """
    names, embeddings = _read(file)
    row = {name: index for index, name in enumerate(names)}
    depths = sorted({name.count("/") + 1 for name in names}, reverse=True)
    found = np.array([_row_of(path, row, depths) for path in paths])
    if not (found >= 0).any():
        raise TrainingError(
            f"teacher {file}: none of its names (like {names[0]}) ends the path of a training "
            "image; check the folder names"
        )
    rows = embeddings[found].astype(np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if broken := [path for path, n in zip(paths, norms[:, 0], strict=True) if not 0 < n < np.inf]:
        raise TrainingError(
            f"teacher {file}: expected embeddings of finite length, that of {broken[0]} is not; "
            "make the file anew"
        )
    rows /= norms
    rows[found < 0] = 0.0
    return TeacherRows(rows, tuple(paths[i] for i in np.flatnonzero(found < 0)))


def _row_of(path: Path, row: dict[str, int], depths: Sequence[int]) -> int:
    keys = ("/".join(path.parts[-depth:]) for depth in depths)
    return next((row[key] for key in keys if key in row), -1)


def _read(file: Path) -> tuple[list[str], npt.NDArray[Any]]:
    try:
        stored = read_arrays(file)
        names, embeddings = stored["names"], stored["emb"]
    except (BrokenArraysError, KeyError) as error:
        raise TrainingError(
            f"teacher {file}: expected an .npz with `names` and `emb`: {error}"
        ) from error
    if embeddings.ndim != 2 or len(names) != len(embeddings) or not len(names):  # noqa: PLR2004
        raise TrainingError(
            f"teacher {file}: expected an embedding (T,) for each name, found {len(names)} names "
            f"and embeddings {embeddings.shape}"
        )
    return [n.decode() if isinstance(n, bytes) else str(n) for n in names], embeddings


def _computed(teacher: Teacher, paths: Sequence[Path], file: Path) -> TeacherRows:
    """What the run's folder holds already or, if it is of another teacher or data, made anew."""
    asked = teacher.model_dump_json()
    if not (file.is_file() and _is_of(file, asked) and not load_stored(file, paths).missing):
        _store(file, asked, paths, embed_paths(teacher, paths))
    # Read back even when just made: a resumed run sees the same rounded numbers.
    return load_stored(file, paths)


def _is_of(file: Path, asked: str) -> bool:
    with np.load(file) as stored:
        return "teacher" in stored and str(stored["teacher"]) == asked


def _store(file: Path, asked: str, paths: Sequence[Path], rows: FloatArray) -> None:
    names = np.array([name.encode() for name in _short_names(paths)])
    stored = {"names": names, "emb": rows.astype(np.float16), "teacher": np.array(asked)}
    write_arrays(file, stored)


def _short_names(paths: Sequence[Path]) -> list[str]:
    """The ends of the paths, as long as it takes to tell them apart."""
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    raise TrainingError(f"teacher: expected different images, found {len(paths)} with doubles")
