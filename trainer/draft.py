"""An exported file before it is kept: scored beside the float network that it came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edge_reid.core.manifest import EmbeddingManifest
from trainer.evaluate import Report

_POINTS = 100.0


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
class Draft:
    """A file that was written and scored, not yet kept."""

    content: bytes
    manifest: EmbeddingManifest
    results: tuple[Comparison, ...]

    def failure(self, budget_points: float) -> str | None:
        """What speaks against the file; None: it is good enough.

        Args:
            budget_points: most mAP points (of 100) it may lose on any of its data sets.
        """
        for result in self.results:
            if not result.lost_points() <= budget_points:
                return (
                    f"export: expected at most {budget_points} mAP points lost, the "
                    f"{self.manifest.quantisation} file loses {result.lost_points():.2f} on "
                    f"{result.exported.split.name}"
                )
        return None

    def metrics(self) -> dict[str, float]:
        """What goes into the manifest."""
        return dict(item for result in self.results for item in result.metrics())
