"""The threshold table of a model: quantiles, how sure they are, and what they lead to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_reid.core.errors import TrainingError
from edge_reid.core.manifest import Calibration, EmbeddingManifest, Forecast, PersonQuantiles
from trainer.data.datasets import PersonData
from trainer.scoring.crop_embeddings import CropEmbeddings
from trainer.scoring.evaluate import Report
from trainer.scoring.ranking_metrics import IntArray
from trainer.thresholds.comparisons import (
    INTERVAL,
    LOOKALIKES_BEYOND,
    Comparisons,
    comparisons_of,
    draw_people,
    joined,
)
from trainer.thresholds.fnir_forecast import GALLERY_SIZES, forecasts
from trainer.thresholds.person_tables import person_tables
from trainer.thresholds.similarities import GRID, Quantiles, decisions

REPLICATES = 200


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """A data set and the embeddings of its pictures, in its order."""

    name: str
    data: PersonData
    crops: CropEmbeddings

    @classmethod
    def of(cls, report: Report) -> Embedded:
        """The data set and embeddings of a report."""
        return cls(report.split.name, report.split.data, report.crops)


@dataclass(frozen=True, slots=True)
class Quantile:
    """The share p of comparisons lies at the similarity or beyond.

    Attributes:
        low, high: 95 % interval of the similarity.
        lookalikes: different pairs of people (genuine: people) at the similarity or beyond.
        people_needed: about so many people would show it.
    """

    p: float
    similarity: float
    low: float
    high: float
    lookalikes: int
    people_needed: int

    @property
    def is_supported(self) -> bool:
        """Whether the data are enough to show it."""
        return self.lookalikes >= LOOKALIKES_BEYOND


@dataclass(frozen=True, slots=True)
class Measured:
    """What calibration found: every quantile of the grid, supported or not, and the forecasts."""

    data: tuple[str, ...]
    people: int
    cameras_known: bool
    impostor_comparisons: int
    genuine_comparisons: int
    impostor: tuple[Quantile, ...]
    genuine: tuple[Quantile, ...]
    forecasts: tuple[Forecast, ...]
    by_templates: tuple[PersonQuantiles, ...]
    """Impostors of people with several templates."""

    def written_into(self, manifest: EmbeddingManifest) -> EmbeddingManifest:
        """The manifest with the supported quantiles and the forecasts in it."""
        calibration = Calibration(
            data=self.data,
            people=self.people,
            cameras_known=self.cameras_known,
            impostor_comparisons=self.impostor_comparisons,
            genuine_comparisons=self.genuine_comparisons,
            impostor_intervals=_intervals(self.impostor),
            genuine_intervals=_intervals(self.genuine),
            forecasts=self.forecasts,
        )
        return manifest.model_copy(
            update={
                "impostor_quantiles": table(self.impostor),
                "impostor_quantiles_by_templates": self.by_templates,
                "genuine_quantiles": table(self.genuine),
                "calibration": calibration,
            }
        )


def calibrate(
    parts: Sequence[Embedded],
    *,
    sizes: Sequence[int] = GALLERY_SIZES,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Measured:
    """Fit the threshold table to data sets, each of which weighs the same.

    Args:
        parts: data sets of different people, and their embeddings by one model.
        sizes: galleries to forecast, in people of one template each.
        replicates: bootstrap draws behind the intervals.
        seed: of the draws.

    Raises:
        TrainingError: the people are too few for even the largest share.
    """
    made = [decisions(part.data, part.crops) for part in parts]
    impostor, genuine = (
        joined([comparisons_of(decided, genuine=genuine) for decided in made])
        for genuine in (False, True)
    )
    draws = [
        draw_people(impostor.people, np.random.default_rng([seed, number]))
        for number in range(replicates)
    ]
    found = quantiles(impostor, draws)
    if not table(found):
        raise TrainingError(
            f"calibrate: expected enough people for {LOOKALIKES_BEYOND} pairs that look alike, "
            f"got {sum(impostor.people)} people; use data of more people"
        )
    return Measured(
        data=tuple(part.name for part in parts),
        people=sum(impostor.people),
        cameras_known=all(part.data.has_cameras for part in parts),
        impostor_comparisons=impostor.count,
        genuine_comparisons=genuine.count,
        impostor=found,
        genuine=quantiles(genuine, draws),
        forecasts=tuple(forecasts(impostor, genuine, draws, len(table(found)), sizes)),
        by_templates=person_tables(table(found), [(part.data, part.crops) for part in parts], seed),
    )


def quantiles(comparisons: Comparisons, draws: Sequence[IntArray]) -> tuple[Quantile, ...]:
    """The quantile of every share of `GRID`, with the interval that drawn people give."""
    similarities = comparisons.quantiles(comparisons.weights)
    redrawn = np.stack([comparisons.quantiles(comparisons.redrawn(copies)) for copies in draws])
    lows, highs = np.quantile(redrawn, INTERVAL, axis=0)
    pairs = comparisons.lookalikes()
    needed = _people_needed(comparisons, pairs)
    columns = zip(GRID, similarities, lows, highs, pairs, needed, strict=True)
    return tuple(
        Quantile(p, float(similarity), float(low), float(high), int(count), people)
        for p, similarity, low, high, count, people in columns
    )


def table(found: Sequence[Quantile]) -> Quantiles:
    """(p, similarity) of the supported quantiles.

    >>> rare = Quantile(0.1, 0.6, low=0.5, high=0.7, lookalikes=19, people_needed=50)
    >>> table([Quantile(0.5, 0.2, low=0.1, high=0.3, lookalikes=20, people_needed=9), rare])
    ((0.5, 0.2),)
    """
    return tuple((quantile.p, quantile.similarity) for quantile in found if quantile.is_supported)


def _intervals(found: Sequence[Quantile]) -> tuple[tuple[float, float, float], ...]:
    return tuple(
        (quantile.p, quantile.low, quantile.high) for quantile in found if quantile.is_supported
    )


def _people_needed(comparisons: Comparisons, lookalikes: IntArray) -> list[int]:
    """People that would bring enough lookalikes beyond each share.

    Lookalikes grow with the share, pairs of people with the square of the people.
    """
    people = sum(comparisons.people)
    last = max(np.flatnonzero(lookalikes >= LOOKALIKES_BEYOND), default=0)
    expected = [max(lookalikes[last], 1) * p / GRID[last] for p in GRID]
    power = 1.0 if comparisons.genuine else 0.5
    return [math.ceil(people * (LOOKALIKES_BEYOND / pairs) ** power) for pairs in expected]
