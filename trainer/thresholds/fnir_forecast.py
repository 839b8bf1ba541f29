"""What a threshold table leads to: how many enrolled people are missed, per gallery size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edge_reid.core.manifest import Forecast
from edge_reid.matching.threshold import is_measured, threshold_for
from trainer.scoring.ranking_metrics import FloatArray, IntArray
from trainer.thresholds.comparisons import INTERVAL, Comparisons, DoubleArray
from trainer.thresholds.similarities import Quantiles

GALLERY_SIZES = (1, 10, 100, 1_000, 10_000)
"""People enrolled, with one template each."""
TARGET_FPIRS = (0.01, 0.001)


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """The threshold table and genuine comparisons, of all people or of a bootstrap draw of them."""

    quantiles: Quantiles
    weights: DoubleArray
    """(n,) of the genuine comparisons."""


def fnir(genuine: FloatArray, weights: DoubleArray, threshold: float, rival: DoubleArray) -> float:
    """Share of genuine similarities (n,) below the threshold, or beaten by a rival.

    >>> fnir(np.array([0.9, 0.3]), np.ones(2), threshold=0.5, rival=np.zeros(2))
    0.5
    >>> fnir(np.array([0.9, 0.3]), np.ones(2), threshold=0.5, rival=np.array([0.1, 0.0]))
    0.55

    Args:
        genuine: similarities of one person's track with a template of theirs, (n,).
        weights: how much each counts, (n,).
        threshold: similarity at which somebody is named.
        rival: chance that another of the enrolled is more alike, (n,).
    """
    missed = np.where(genuine >= threshold, rival, 1.0)
    return min(float(missed @ weights / weights.sum()), 1.0)


def rivals(impostor: Comparisons, genuine: FloatArray, people: int) -> DoubleArray:
    """Chance (n,) that one of the others enrolled reaches each genuine similarity (n,).

    Args:
        impostor: comparisons of different people.
        genuine: similarities of one person's track with a template of theirs, (n,).
        people: enrolled, with one template each.
    """
    alike = _reaching(impostor, genuine)
    return np.asarray(1 - (1 - alike) ** (people - 1), np.float64)


def forecasts(
    impostor: Comparisons,
    genuine: Comparisons,
    draws: Sequence[IntArray],
    supported: int,
    sizes: Sequence[int] = GALLERY_SIZES,
) -> Iterator[Forecast]:
    """FNIR where impostors are taken for somebody at the target rate, as the agent sets it.

    An enrolled person seen at similarity s is missed when s is below the threshold, or when one of
    the N - 1 others reaches s: 1 - (1 - p(s))^(N - 1), comparisons taken as independent (as in
    `threshold_for`).

    Args:
        impostor: comparisons of different people.
        genuine: comparisons of the same person.
        draws: how often each person takes part in each bootstrap draw.
        supported: how many shares of `GRID` the table has.
        sizes: people enrolled.
    """
    fit = _Fit(impostor.table(impostor.weights, supported), genuine.weights)
    redrawn = [
        _Fit(impostor.table(impostor.redrawn(copies), supported), genuine.redrawn(copies))
        for copies in draws
    ]
    seen = genuine.similarities
    for fpir in TARGET_FPIRS:
        for people in sizes:
            rival = rivals(impostor, seen, people)
            threshold = threshold_for(fit.quantiles, fpir, people)
            thresholds = [threshold_for(draw.quantiles, fpir, people) for draw in redrawn]
            fnirs = [
                fnir(seen, draw.weights, at, rival)
                for draw, at in zip(redrawn, thresholds, strict=True)
            ]
            low, high = np.quantile(fnirs, INTERVAL)
            yield Forecast(
                people=people,
                target_fpir=fpir,
                threshold=threshold,
                fnir=fnir(seen, fit.weights, threshold, rival),
                fnir_low=float(low),
                fnir_high=float(high),
                measured=is_measured(fit.quantiles, fpir, people),
            )


def _reaching(impostor: Comparisons, similarities: FloatArray) -> DoubleArray:
    """Share of impostor comparisons that reach each similarity, p(s)."""
    reached = np.concatenate([[0.0], np.cumsum(impostor.weights)])
    positions = np.searchsorted(-impostor.similarities, -similarities, side="right")
    return np.asarray(np.minimum(reached[positions], 1.0), np.float64)
