"""Embeddings of person crops, and how much each crop can say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_reid.matching.fusion import Qualities

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class CropEmbeddings:
    """N crops as points in the metric space of one model.

    Attributes:
        rows: (N, D) float32, of unit norm.
        qualities: (N,) float64 in [0, 1], as the device rates a whole crop: the weight that each
            has in the mean of a track.
    """

    rows: FloatArray
    qualities: Qualities

    @classmethod
    def of_equal_quality(cls, rows: FloatArray) -> CropEmbeddings:
        """Embeddings that nothing is fused of, or of which each weighs the same.

        >>> CropEmbeddings.of_equal_quality(np.eye(2, dtype=np.float32)).qualities
        array([1., 1.])
        """
        return cls(rows, np.ones(len(rows)))

    def take(self, index: IntArray) -> CropEmbeddings:
        """The crops at `index`."""
        return CropEmbeddings(self.rows[index], self.qualities[index])
