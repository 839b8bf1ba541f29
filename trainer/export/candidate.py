"""An exported file before it is kept: scored beside the float network that it came from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edge_reid.core.manifest import EmbeddingManifest
from trainer.scoring.evaluate import Report

_POINTS = 100.0
_BUDGET_POINTS = 0.5
_ENOUGH_QUERIES = 150


def fair_budget(queries: int) -> float:
    """Points of mAP (of 100) that a file may lose when it is scored on so many queries.

    Half a point; on fewer than `_ENOUGH_QUERIES` as much more as chance does: the mean over
    queries goes astray by the root of their number.
    """
    return _BUDGET_POINTS * math.sqrt(max(1.0, _ENOUGH_QUERIES / max(queries, 1)))


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The exported file beside the float network on one data set."""

    exported: Report
    original: Report

    def lost_points(self) -> float:
        """Points of mAP (of 100) that the file is worse by; negative when it is better."""
        return _POINTS * (
            self.original.ranking.mean_average_precision
            - self.exported.ranking.mean_average_precision
        )

    def lost_rank1_points(self) -> float:
        """Points of rank-1 (of 100) that the file is worse by; negative when it is better."""
        return _POINTS * (self.original.ranking.rank(1) - self.exported.ranking.rank(1))

    def budget(self, asked_points: float | None) -> float:
        """Points of mAP (of 100) that the file may be worse by: as asked, or what is fair."""
        queries = self.original.ranking.queries
        return fair_budget(queries) if asked_points is None else asked_points

    def metrics(self) -> Iterator[tuple[str, float]]:
        """What goes into the manifest, named after the data set."""
        name = self.exported.split.name.replace("-", "_")
        for label, report in (("", self.exported), ("_float", self.original)):
            yield f"{name}_rank1{label}", round(report.ranking.rank(1), 4)
            yield f"{name}_map{label}", round(report.ranking.mean_average_precision, 4)
        yield f"{name}_rank1_points_lost", round(self.lost_rank1_points(), 2)
        yield f"{name}_map_points_lost", round(self.lost_points(), 2)
        cosine = np.sum(self.exported.embeddings * self.original.embeddings, axis=1)
        yield f"{name}_cosine_mean", round(float(cosine.mean()), 4)
        yield f"{name}_cosine_worst", round(float(cosine.min()), 4)
        yield f"{name}_queries", self.exported.ranking.queries
        yield f"{name}_skipped_queries", len(self.exported.ranking.skipped)


@dataclass(frozen=True, slots=True, eq=False)
class ExportCandidate:
    """A file that was written and scored, not yet kept."""

    content: bytes
    manifest: EmbeddingManifest
    results: tuple[Comparison, ...]

    def failure(self, budget_points: float | None) -> str | None:
        """Why the file is not good enough; None where it is.

        Args:
            budget_points: most mAP points (of 100) it may lose on any of its data sets; None: as
                many as `fair_budget` says.
        """
        for result in self.results:
            lost, most = result.lost_points(), result.budget(budget_points)
            if not lost <= most:
                ranking = result.exported
                return (
                    f"export: expected at most {most:.4g} mAP points lost, the "
                    f"{self.manifest.quantisation} file loses {lost:.2f} on {ranking.split.name} "
                    f"({ranking.ranking.queries} queries)"
                )
        return None

    def excess_points(self, budget_points: float | None) -> float:
        """Points of mAP (of 100) lost beyond the budget, on the data set where that is most."""
        return max(result.lost_points() - result.budget(budget_points) for result in self.results)

    def metrics(self) -> dict[str, float]:
        """What goes into the manifest."""
        return dict(item for result in self.results for item in result.metrics())
