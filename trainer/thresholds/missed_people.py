"""How many enrolled people a device misses with one model and with another, on the same people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_reid.matching.threshold import is_measured, threshold_for
from trainer.scoring.ranking_metrics import IntArray
from trainer.thresholds.comparisons import (
    INTERVAL,
    Comparisons,
    DoubleArray,
    comparisons_of,
    draw_people,
)
from trainer.thresholds.comparisons import joined as joined_sets
from trainer.thresholds.fnir_forecast import fnir, rivals
from trainer.thresholds.similarities import Decisions, Quantiles, decisions
from trainer.thresholds.threshold_table import REPLICATES, Embedded

ENROLLED = 10, 100
"""People enrolled, with one template each, for which models are compared."""
TARGET_FPIR = 0.01
"""As the device has it by default."""


@dataclass(frozen=True, slots=True, eq=False)
class ComparedModel:
    """A model as a device would use it: its threshold table, and what it compares on data sets."""

    quantiles: Quantiles
    made: Sequence[Decisions]

    @classmethod
    def of(cls, quantiles: Quantiles, parts: Sequence[Embedded]) -> ComparedModel:
        """The model on people whom it was not trained on, everybody under every camera."""
        return cls(quantiles, [decisions(part.data, part.crops) for part in parts])


@dataclass(frozen=True, slots=True)
class MissedPeople:
    """Shares in [0, 1] of the enrolled that are not named rightly when they walk by.

    Attributes:
        enrolled: people in the gallery, one template each.
        before, after: with the one model and with the other.
        low, high: 95 % interval of `after` - `before`, by drawing people anew.
    """

    enrolled: int
    before: float
    after: float
    low: float
    high: float

    @property
    def are_more(self) -> bool:
        """Whether the other model misses more, by more than chance among the people does."""
        return self.low > 0.0

    @property
    def may_be_more(self) -> bool:
        """Whether it misses more on these very people."""
        return self.after > self.before


def supports_galleries(quantiles: Quantiles) -> bool:
    """Whether a table shows the shares that galleries of `ENROLLED` people need.

    >>> supports_galleries(((0.5, 0.2), (1e-4, 0.7))), supports_galleries(((0.5, 0.2), (1e-3, 0.6)))
    (True, False)
    """
    return all(is_measured(quantiles, TARGET_FPIR, people) for people in ENROLLED)


def compare_missed(
    before: ComparedModel, after: ComparedModel, seed: int = 0
) -> tuple[MissedPeople, ...]:
    """Two models on the same pictures, each at its own thresholds, for each of `ENROLLED`.

    Args:
        before: the one model; it has compared the same people as `after`.
        after: the other.
        seed: of the draws behind the interval.

    Raises:
        TrainingError: there is nobody to compare with, or nobody was seen twice.
    """
    models = [_Compared.of(candidate) for candidate in (before, after)]
    people = models[0].genuine.people
    draws = [
        draw_people(people, np.random.default_rng([seed, number])) for number in range(REPLICATES)
    ]
    return tuple(_missed(enrolled, models, draws) for enrolled in ENROLLED)


def more_missed(missed: Sequence[MissedPeople]) -> str | None:
    """Why a fine-tune that misses more people is refused; None where it does not."""
    if not any(row.are_more for row in missed):
        return None
    counts = " and ".join(
        f"{row.after * row.enrolled:.1f} of {row.enrolled} missed, where that one misses "
        f"{row.before * row.enrolled:.1f}"
        for row in missed
    )
    return (
        "export: expected a file that misses no more enrolled people than the model it started "
        f"from, got {counts}; train on more people, or give --validate MOREPEOPLE that it was not "
        "trained on, for thresholds of its own; --allow-fewer keeps it as it is"
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """What a candidate's decisions rest on."""

    quantiles: Quantiles
    impostor: Comparisons
    genuine: Comparisons

    @classmethod
    def of(cls, candidate: ComparedModel) -> _Compared:
        impostor, genuine = (
            joined_sets([comparisons_of(decided, genuine=kind) for decided in candidate.made])
            for kind in (False, True)
        )
        return cls(candidate.quantiles, impostor, genuine)

    def fnir(self, enrolled: int, weights: DoubleArray) -> float:
        at = threshold_for(self.quantiles, TARGET_FPIR, enrolled)
        rival = rivals(self.impostor, self.genuine.similarities, enrolled)
        return fnir(self.genuine.similarities, weights, at, rival)


def _missed(enrolled: int, models: Sequence[_Compared], draws: Sequence[IntArray]) -> MissedPeople:
    before, after = (model.fnir(enrolled, model.genuine.weights) for model in models)
    shifts = [
        models[1].fnir(enrolled, models[1].genuine.redrawn(copies))
        - models[0].fnir(enrolled, models[0].genuine.redrawn(copies))
        for copies in draws
    ]
    low, high = np.quantile(shifts, INTERVAL)
    return MissedPeople(enrolled, before, after, float(low), float(high))
