"""The teacher of a distillation: one embedding per training image, stored or made once.

A stored teacher is an `.npz` of `names` (N,) bytes and `emb` (N, T), rows of unit norm, or
`emb_int8`, the same times 127 and rounded.  Any other teacher is a network; unless it is asked
online (`trainer.teacher.online_teacher`), it looks at the training images once, and what
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
from edge_reid.matching.vectors import unit_rows
from trainer.files.arrays import BrokenArraysError, read_arrays, write_arrays
from trainer.recipe.recipe import Recipe, Teacher
from trainer.teacher.teacher_network import embed_paths

FloatArray: TypeAlias = npt.NDArray[np.float32]

STORED = ".npz"
COMPUTED = "teacher.npz"
"""What the first network among a run's teachers said, in the run's folder."""
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
        """T, how many numbers the teacher says."""
        return int(self.rows.shape[1])

    def remark(self) -> str:
        """How many images are missing, and the first of them."""
        names = ", ".join(str(path) for path in self.missing[:_NAMED_MISSING])
        more = " …" if len(self.missing) > _NAMED_MISSING else ""
        return (
            f"teacher: {len(self.missing)} of {len(self.rows)} images have no embedding there and "
            f"learn from their identity alone: {names}{more}"
        )


def find_teachers(recipe: Recipe, paths: Sequence[Path], run: Path) -> TeacherRows:
    """What the recipe's teachers say about the images at `paths`, concatenated.

    Rows of several are joined and brought to unit norm: their cosine is the mean of the teachers'
    cosines. An image that one of them does not know learns from none. Nothing is said where the
    recipe has no teacher, or where teachers are asked online.

    Raises:
        TrainingError: a loss needs a teacher and there is none, or it cannot be used.
    """
    if not recipe.teachers and (needing := recipe.losses.needing_teacher()):
        raise TrainingError(
            f"losses {', '.join(needing)}: expected a teacher, the recipe names none"
        )
    stored = [teacher for teacher in recipe.teachers if not teacher.online]
    if not stored:
        return TeacherRows(np.zeros((len(paths), 1), np.float32))
    answers = [
        load_stored((teacher.path, *teacher.more), paths)
        if teacher.path.suffix == STORED
        else _computed(teacher, paths, run / _computed_name(number))
        for number, teacher in enumerate(stored, 1)
    ]
    return _concatenated(answers)


def _computed_name(number: int) -> str:
    return COMPUTED if number == 1 else f"teacher-{number}.npz"


def _concatenated(answers: Sequence[TeacherRows]) -> TeacherRows:
    missing = dict.fromkeys(path for answer in answers for path in answer.missing)
    rows = unit_rows(np.concatenate([answer.rows for answer in answers], axis=1))
    known = np.all([answer.rows.any(axis=1) for answer in answers], axis=0)
    return TeacherRows(np.where(known[:, None], rows, np.float32(0)), tuple(missing))


def load_stored(files: Path | Sequence[Path], paths: Sequence[Path]) -> TeacherRows:
    """The stored embeddings of `paths`, from one file or several of the same teacher.

    A stored name such as `market1501/bounding_box_train/x.jpg` belongs to a path that ends so.

    Raises:
        TrainingError: a file is not a teacher, or they say nothing about any of the images.
    """
    files = [files] if isinstance(files, Path) else files
    names, embeddings = _joined(files)
    file = files[0]
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


def _joined(files: Sequence[Path]) -> tuple[list[str], npt.NDArray[Any]]:
    parts = [_read(file) for file in files]
    if len({embeddings.shape[1] for _, embeddings in parts}) > 1:
        sizes = ", ".join(f"{f.name} {e.shape[1]}" for f, (_, e) in zip(files, parts, strict=True))
        raise TrainingError(
            f"teacher {files[0]}: expected files of one teacher, got embeddings of different "
            f"lengths: {sizes}; list different teachers one by one"
        )
    names = [name for part, _ in parts for name in part]
    return names, np.concatenate([embeddings for _, embeddings in parts])


def _read(file: Path) -> tuple[list[str], npt.NDArray[Any]]:
    try:
        stored = read_arrays(file)
        names = stored["names"]
        embeddings = stored["emb_int8"] if "emb_int8" in stored else stored["emb"]
    except (BrokenArraysError, KeyError) as error:
        raise TrainingError(
            f"teacher {file}: expected an .npz with `names` and `emb`: {error}"
        ) from error
    if embeddings.ndim != 2 or len(names) != len(embeddings) or not len(names):  # noqa: PLR2004
        raise TrainingError(
            f"teacher {file}: expected an embedding (T,) for each name, got {len(names)} names "
            f"and embeddings {embeddings.shape}"
        )
    return [n.decode() if isinstance(n, bytes) else str(n) for n in names], embeddings


def _computed(teacher: Teacher, paths: Sequence[Path], file: Path) -> TeacherRows:
    """Rows kept in the run's folder, or made anew if those are of another teacher or data."""
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
    """The last parts of the paths, as many as tell them apart."""
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    raise TrainingError(f"teacher: expected different images, got {len(paths)} with doubles")
