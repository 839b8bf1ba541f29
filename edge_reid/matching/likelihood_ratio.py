"""How much a similarity speaks for one person, or for two, by what was measured of a model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.matching.threshold import Quantiles

_MEDIAN = 0.5
_SELDOM = 0.05
_SELDOM_DEVIATIONS = 1.645
"""Of a normal distribution, one value in twenty lies so far to one side of the median."""


@dataclass(frozen=True, slots=True)
class LikelihoodRatio:
    """Similarities of one person and of two, each taken for normally distributed.

    >>> ratio = LikelihoodRatio(genuine=(0.7, 0.2), impostor=(0.1, 0.2))
    >>> [round(ratio.log_of(similarity), 1) for similarity in (0.1, 0.4, 0.7, 0.9)]
    [-4.5, 0.0, 4.5, 8.0]
    """

    genuine: tuple[float, float]
    """Mean and standard deviation of comparisons of one person."""
    impostor: tuple[float, float]
    """The same, of two people."""

    @classmethod
    def of(cls, manifest: EmbeddingManifest) -> LikelihoodRatio | None:
        """That of a model, from the median and the twentieth of its comparisons; of impostors those
        with as many templates as were measured. None: its manifest does not have them.
        """
        several = manifest.impostor_quantiles_by_templates
        impostors = several[-1].impostor_quantiles if several else manifest.impostor_quantiles
        genuine, impostor = _normal(manifest.genuine_quantiles), _normal(impostors)
        return cls(genuine, impostor) if genuine and impostor else None

    def log_of(self, similarity: float) -> float:
        """Natural logarithm of how many times likelier a similarity is of one person than of two.

        Nobody is less like themselves for being very much alike, nor two people for being very
        different: beyond its mean each distribution counts as at its mean.
        """
        genuine_mean, impostor_mean = self.genuine[0], self.impostor[0]
        one = _log_density(min(similarity, genuine_mean), self.genuine)
        return one - _log_density(max(similarity, impostor_mean), self.impostor)


def _normal(quantiles: Quantiles) -> tuple[float, float] | None:
    """Mean and standard deviation; None where the table does not have them, or no spread."""
    table = dict(sorted(quantiles))
    if not table or not min(table) <= _SELDOM < _MEDIAN <= max(table):
        return None
    logs, similarities = np.log(list(table)), list(table.values())
    mean, seldom = (float(np.interp(math.log(p), logs, similarities)) for p in (_MEDIAN, _SELDOM))
    spread = abs(mean - seldom) / _SELDOM_DEVIATIONS
    return (mean, spread) if spread > 0 else None


def _log_density(similarity: float, normal: tuple[float, float]) -> float:
    """Of a normal distribution, up to a constant."""
    mean, spread = normal
    return -0.5 * ((similarity - mean) / spread) ** 2 - math.log(spread)
