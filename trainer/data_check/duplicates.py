"""Pictures that are the same, or nearly so: copies, re-saved copies, successive frames.

Two pictures are compared by their 12 × 24 px grey versions: root mean square difference as a part
of their contrast, which is the standard deviation of grey levels. Measured on Market-1501, CUHK03
and ConReID: a copy saved again as JPEG of quality 50 differs by 0.04, one at 70 or 50 % of the size
by 0.12 (99 % of them). Of 113 million pairs of different people none came below 0.16, but for a
black frame that is filed under five of them. Difference hashes (dHash) did worse: on ConReID, whose
crops lie on black, 6,600 such pairs had the very same hash.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.data_check.scan import FloatArray, PictureScan

NEARLY_SAME = 0.14
"""Difference up to which one picture is the other saved again, or shows nothing new."""
_LEAST_CONTRAST = 8.0
"""Grey levels; what varies less shows nothing, and is compared as if it varied so much."""
_ROWS = 256
"""Compared with all others at a time: 31 MB for 30,000 pictures."""


@dataclass(frozen=True, slots=True)
class Shared:
    """One picture that two identities claim: at least one of them is wrong."""

    first: int
    second: int
    """Rows of the scan; first < second."""
    exact: bool
    """Byte for byte."""


@dataclass(frozen=True, slots=True, eq=False)
class Duplicates:
    """Which of N pictures repeat others."""

    copies: int
    """Files that are byte for byte another one of the same identity."""
    distinct: npt.NDArray[np.bool_]
    """(N,) False where an earlier picture of the identity is nearly the same."""
    shared: tuple[Shared, ...]


def find_duplicates(seen: PictureScan) -> Duplicates:
    """Compare all pictures with all, a few rows at a time; junk and distractors are nobody's."""
    labels = seen.data.labels
    is_somebodys = labels >= 0
    distinct = np.ones(len(labels), np.bool_)
    shared: list[Shared] = []
    for start in range(0, len(labels), _ROWS):
        stop = min(start + _ROWS, len(labels))
        differences = _differences(seen.thumbnails[start:stop], seen.thumbnails[:stop])
        for row, values in enumerate(differences, start):
            own = labels[:row] == labels[row]
            near = (values[:row] <= NEARLY_SAME) & is_somebodys[:row] & is_somebodys[row]
            distinct[row] = not np.any(near & own & distinct[:row])
            others = near & ~own
            if others.any():
                nearest = int(np.argmin(np.where(others, values[:row], np.inf)))
                shared.append(Shared(nearest, row, exact=seen.sha256[nearest] == seen.sha256[row]))
    return Duplicates(_copies(seen), distinct, tuple(shared))


def _differences(some: FloatArray, others: FloatArray) -> FloatArray:
    """(A, P), (B, P) → (A, B): √ mean (a − b)² over √ mean of both variances."""
    a, b = some - 128.0, others - 128.0  # small numbers keep float32 exact
    squares = (a * a).sum(1)[:, np.newaxis] + (b * b).sum(1) - 2.0 * a @ b.T
    contrast = (a.var(axis=1)[:, np.newaxis] + b.var(axis=1)) / 2
    least = np.maximum(contrast, _LEAST_CONTRAST**2)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0) / a.shape[1] / least), np.float32)


def _copies(seen: PictureScan) -> int:
    files = Counter(zip(seen.data.labels.tolist(), seen.sha256, strict=True))
    return sum(count - 1 for (label, _), count in files.items() if label >= 0)
