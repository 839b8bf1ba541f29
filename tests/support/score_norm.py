"""Similarities normalised by a cohort of people who are neither enrolled nor probes.

Of speaker verification: what a similarity is worth depends on how alike a template (Z-norm), a
probe (T-norm) or both (S-norm) are to anybody; adaptive S-norm asks only the K of the cohort that
are most alike (Matejka et al., "Analysis of Score Normalization in Multilingual Speaker
Recognition", Interspeech 2017: AS-norm1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from edge_reid.core.types import Vectors

Side: TypeAlias = Literal["template", "probe", "both"]

_SCALE = 20.0
"""Standard deviations that count as 1: the tables of thresholds end there."""


@dataclass(frozen=True, slots=True, eq=False)
class CohortNorm:
    """(s - μ) / 20σ, in [-1, 1] for any score that occurs; the mean of both sides for `both`.

    Attributes:
        cohort: (C, D) unit rows.
        side: whose similarities to the cohort give μ and σ.
        nearest: so many of the cohort, the most alike; None: all.
    """

    cohort: Vectors
    side: Side = "both"
    nearest: int | None = None

    def __call__(self, probes: Vectors, templates: Vectors) -> Vectors:
        """Normalised similarities (P, T) float32 of unit rows (P, D) and (T, D)."""
        similarity = probes @ templates.T
        parts = []
        if self.side != "template":
            mean, spread = self._statistics(probes)
            parts.append((similarity - mean[:, None]) / spread[:, None])
        if self.side != "probe":
            mean, spread = self._statistics(templates)
            parts.append((similarity - mean) / spread)
        scores = sum(parts) / (len(parts) * _SCALE)
        return np.asarray(np.clip(scores, -1.0, 1.0), np.float32)

    def _statistics(self, rows: Vectors) -> tuple[Vectors, Vectors]:
        alike = rows @ self.cohort.T
        if self.nearest is not None and self.nearest < alike.shape[1]:
            alike = np.partition(alike, -self.nearest, axis=1)[:, -self.nearest :]
        return alike.mean(axis=1), alike.std(axis=1)


def plain(probes: Vectors, templates: Vectors) -> Vectors:
    """Similarities (P, T) float32 as the device compares them: cosines."""
    return np.asarray(np.clip(probes @ templates.T, -1.0, 1.0), np.float32)
