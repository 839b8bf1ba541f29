"""Does the promise hold? Thresholds from half of the people, tried on the other half."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edge_reid.core.errors import TrainingError
from trainer.scoring.openset import Setup, open_set_trials
from trainer.scoring.ranking_metrics import IntArray, People
from trainer.scoring.track_means import two_views
from trainer.thresholds.threshold_table import Embedded, calibrate

HALVINGS = 10
FEWEST_PEOPLE = 40
"""Half of fewer show no quantile worth checking."""
_DRAWS = 5
_NO_INTERVALS = 1


@dataclass(frozen=True, slots=True)
class CrossvalOutcome:
    """Rates promised and met with a number of people enrolled: means over halvings, and spread."""

    people: int
    target_fpir: float
    fpir: float
    fpir_spread: float
    fnir_forecast: float
    fnir: float
    fnir_spread: float
    measured: bool
    """False: in some halving the threshold went beyond what the half could show."""


def cross_check(
    part: Embedded, sizes: Sequence[int], *, halvings: int = HALVINGS, seed: int = 0
) -> list[CrossvalOutcome]:
    """Calibrate on a random half of the people and identify those of the other, several times.

    Probes are tracks, templates single crops, as in calibration. Sizes that leave nobody
    un-enrolled are left out.

    Raises:
        TrainingError: the people are too few.
    """
    labels = np.unique(part.data.labels[part.data.labels >= 0])
    if len(labels) < FEWEST_PEOPLE:
        raise TrainingError(
            f"check {part.name}: expected at least {FEWEST_PEOPLE} people to halve, got "
            f"{len(labels)}; leave the check out, or use data of more people"
        )
    fitting = [size for size in sizes if size <= len(labels) // 4]
    rows = [
        row
        for number in range(halvings)
        for row in _one_halving(part, labels, fitting, np.random.default_rng([seed, number]))
    ]
    return [
        _outcome([row for row in rows if row[:2] == kind])
        for kind in sorted({row[:2] for row in rows}, key=lambda kind: (-kind[1], kind[0]))
    ]


_Row = tuple[int, float, float, float, float, bool]


def _one_halving(
    part: Embedded, labels: IntArray, sizes: Sequence[int], rng: np.random.Generator
) -> Iterator[_Row]:
    order = rng.permutation(labels)
    half, rest = _only(part, order[: len(order) // 2]), _only(part, order[len(order) // 2 :])
    fitted = calibrate([half], sizes=sizes, replicates=_NO_INTERVALS)
    cameras = rest.data.cameras if rest.data.has_cameras else two_views(rest.data.labels)
    people = People(rest.crops.rows, rest.data.labels, cameras, rest.crops.qualities)
    trials = {
        size: open_set_trials(
            people, Setup(enrolled=size), draws=_DRAWS, seed=int(rng.integers(1 << 31))
        )
        for size in sizes
    }
    for forecast in fitted.forecasts:
        tried = trials[forecast.people]
        fpir = float(np.mean([trial.fpir(forecast.threshold) for trial in tried]))
        fnir = float(np.mean([trial.fnir(forecast.threshold) for trial in tried]))
        yield forecast.people, forecast.target_fpir, fpir, forecast.fnir, fnir, forecast.measured


def _only(part: Embedded, labels: IntArray) -> Embedded:
    rows = np.flatnonzero(np.isin(part.data.labels, labels))
    return Embedded(part.name, part.data.take(rows), part.crops.take(rows))


def _outcome(rows: Sequence[_Row]) -> CrossvalOutcome:
    fpirs, forecast, fnirs = (np.array([row[i] for row in rows]) for i in (2, 3, 4))
    return CrossvalOutcome(
        people=rows[0][0],
        target_fpir=rows[0][1],
        fpir=float(fpirs.mean()),
        fpir_spread=float(fpirs.std()),
        fnir_forecast=float(forecast.mean()),
        fnir=float(fnirs.mean()),
        fnir_spread=float(fnirs.std()),
        measured=all(row[5] for row in rows),
    )
