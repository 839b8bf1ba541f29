"""What an exported file may lose: half a point of mAP, and more where few queries cannot tell."""

from __future__ import annotations

import numpy as np
import pytest
from support.threshold_examples import crowd, manifest

from trainer.export.candidate import Comparison, ExportCandidate, fair_budget
from trainer.scoring.crop_embeddings import CropEmbeddings
from trainer.scoring.evaluate import Report, score, split_people


def seen(people: int, worse: float = 0.0) -> Report:
    """A crowd, embedded with so much noise more."""
    part = crowd(people, crops=2)
    noise = np.random.default_rng(1).normal(size=part.crops.rows.shape)
    rows = part.crops.rows + worse * noise
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return score(
        split_people(part.data, part.name), CropEmbeddings.of_equal_quality(rows.astype(np.float32))
    )


def candidate(people: int, worse: float) -> ExportCandidate:
    return ExportCandidate(b"", manifest(), (Comparison(seen(people, worse), seen(people)),))


@pytest.mark.parametrize(("queries", "points"), [(1000, 0.5), (150, 0.5), (24, 1.25), (6, 2.5)])
def test_the_budget_grows_as_the_root_of_what_queries_are_missing(
    queries: int, points: float
) -> None:
    assert fair_budget(queries) == pytest.approx(points)


def test_what_chance_does_on_few_queries_is_no_failure_unless_a_budget_was_asked_for() -> None:
    few = candidate(people=8, worse=0.0)
    lost = few.results[0].lost_points()
    assert few.failure(None) is None
    told = few.failure(lost - 0.1)
    assert told is not None
    assert "file loses 0.00 on crowd-8 (24 queries)" in told


def test_a_file_that_lost_much_fails_on_few_queries_too() -> None:
    broken = candidate(people=8, worse=1.0)
    assert broken.results[0].lost_points() > 5
    told = broken.failure(None)
    assert told is not None
    assert "expected at most 1.25 mAP points lost" in told


def test_of_several_tries_the_one_that_loses_least_is_the_best() -> None:
    tries = [candidate(people=8, worse=worse) for worse in (0.5, 0.2, 1.0)]
    assert min(tries, key=lambda each: each.excess_points(None)) is tries[1]
