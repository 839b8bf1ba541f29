"""What trials gave, and what may be said of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.stats import binomtest

from trainer.experiment.draws import Cut

PAPER_ACCURACY = 0.9818
"""Stated by Jalapur & Hundekar (2021)."""
Method: TypeAlias = Literal["softmax", "refined softmax", "nearest template"]


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """One method on one draw of people, their images cut in one way."""

    trial: int
    identities: tuple[str, ...]
    cut: Cut
    method: Method
    correct: int
    tested: int
    time_s: float
    """Of training and naming; features that are kept between trials count where first made."""

    @property
    def accuracy(self) -> float:
        """Share of test images named rightly."""
        return self.correct / self.tested


@dataclass(frozen=True, slots=True)
class TrialSummary:
    """All trials of one method under one cut.

    Attributes:
        cut: how images were cut.
        method: what named them.
        mean: of the trials' accuracies.
        worst: the lowest of them.
        interval: exact binomial 95 % interval (Clopper & Pearson, Biometrika 1934) of the share
            named rightly of all test images together. It takes images as independent, which
            pictures of one person are not: the truth is less certain than that.
        reaching_paper: share of trials at or above the paper's accuracy.
        trials: how many.
        tested: test images of all trials.
        time_s: mean of a trial.
    """

    cut: Cut
    method: Method
    mean: float
    worst: float
    interval: tuple[float, float]
    reaching_paper: float
    trials: int
    tested: int
    time_s: float


def summarise(outcomes: Sequence[TrialOutcome]) -> tuple[TrialSummary, ...]:
    """One summary for each cut and method, in the order they first come."""
    kinds = dict.fromkeys((outcome.cut, outcome.method) for outcome in outcomes)
    return tuple(
        _summary(cut, method, [o for o in outcomes if (o.cut, o.method) == (cut, method)])
        for cut, method in kinds
    )


def _summary(cut: Cut, method: Method, outcomes: Sequence[TrialOutcome]) -> TrialSummary:
    accuracies = np.array([outcome.accuracy for outcome in outcomes])
    tested = sum(outcome.tested for outcome in outcomes)
    exact = binomtest(sum(o.correct for o in outcomes), tested).proportion_ci(0.95, "exact")
    return TrialSummary(
        cut,
        method,
        mean=float(accuracies.mean()),
        worst=float(accuracies.min()),
        interval=(float(exact.low), float(exact.high)),
        reaching_paper=float(np.mean(accuracies >= PAPER_ACCURACY)),
        trials=len(outcomes),
        tested=tested,
        time_s=float(np.mean([outcome.time_s for outcome in outcomes])),
    )
