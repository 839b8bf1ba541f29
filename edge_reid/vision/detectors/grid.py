"""What anchor-free families have in common: a score and a few raw values for each cell of a canvas.

A model looks at its canvas in cells, a grid for each stride (8, 16, 32 canvas pixels). Cells come
stride by stride, row by row. Frames are letterboxed: scaled into the top-left corner, the rest
grey.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge_reid.core.errors import ModelError
from edge_reid.core.geometry import Boxes
from edge_reid.core.manifest import DetectorManifest
from edge_reid.core.types import Image
from edge_reid.vision.detectors.family import Array, Canvas, FamilySettings, settings_in
from edge_reid.vision.preprocess import letterbox
from edge_reid.vision.runtime import TensorSpec


class GridSettings(FamilySettings):
    """`decoder_settings` of a family that looks at cells."""

    strides: Annotated[
        tuple[Annotated[int, Field(gt=0, le=1024)], ...], Field(min_length=1, max_length=8)
    ] = (8, 16, 32)
    """Sides of the cells in canvas pixels, in the order of the outputs."""
    pad_value: Annotated[int, Field(ge=0, le=255)] = 114
    """Grey level of the letterbox."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Where cells lie on the canvas."""

    columns_rows: Array
    """(N, 2): column and row, counted in cells of the same stride."""
    strides: Array
    """(N, 1): side of the cell in canvas pixels."""

    def __len__(self) -> int:
        return len(self.strides)

    def take(self, which: NDArray[np.intp]) -> Cells:
        """Some of the cells, by index."""
        return Cells(self.columns_rows[which], self.strides[which])


def cells_of(height_px: int, width_px: int, strides: Sequence[int]) -> Cells:
    """All cells of a canvas; a stride that does not divide a side covers it with one cell more."""
    grids = [
        np.indices((-(-height_px // stride), -(-width_px // stride)))[::-1].reshape(2, -1).T
        for stride in strides
    ]
    sides = np.repeat(np.asarray(strides, np.float32), [len(grid) for grid in grids])
    return Cells(np.concatenate(grids).astype(np.float32), sides[:, np.newaxis])


ReadBoxes: TypeAlias = Callable[[Array, Cells], Boxes]
"""Raw values (N, values a cell) of N cells to boxes (N, 4) in canvas pixels."""


class GridFamily:
    """Reads scores and raw boxes of cells; see `FamilyMaker` for the arguments not named here.

    Args:
        values_per_cell: of a raw box.
        read_boxes: makes boxes of them.
    """

    def __init__(
        self,
        manifest: DetectorManifest,
        outputs: Sequence[TensorSpec],
        where: str,
        *,
        values_per_cell: int,
        read_boxes: ReadBoxes,
    ) -> None:
        self._size_px = manifest.input_height_px, manifest.input_width_px
        self._settings = settings_in(manifest, GridSettings, where)
        self._cells = cells_of(*self._size_px, self._settings.strides)
        self._read_boxes = read_boxes
        self._raw, self._scores = self._find(outputs, values_per_cell, manifest.decoder, where)

    def canvas_of(self, image: Image) -> Canvas:
        boxed = letterbox(image, *self._size_px, self._settings.pad_value)
        return Canvas(boxed.canvas, (boxed.scale, boxed.scale))

    def people(self, outputs: Sequence[Array], weak_score: float) -> tuple[Boxes, Array]:
        scores = outputs[self._scores][0, :, 0]
        likely = np.flatnonzero(scores >= weak_score)
        raw = outputs[self._raw][0, likely]
        return self._read_boxes(raw, self._cells.take(likely)), scores[likely]

    def _find(
        self, outputs: Sequence[TensorSpec], values_per_cell: int, decoder: str, where: str
    ) -> tuple[int, int]:
        """Positions of the raw boxes and of the scores: converters do not keep an order."""
        raw, scores = (1, len(self._cells), values_per_cell), (1, len(self._cells), 1)
        found = [spec.shape for spec in outputs]
        if sorted(found) != sorted((raw, scores)):
            raise ModelError(
                f"{where}: decoder {decoder!r} at strides {self._settings.strides} expects "
                f"{raw} and {scores} out, the file gives {found}; correct the manifest"
            )
        return found.index(raw), found.index(scores)
