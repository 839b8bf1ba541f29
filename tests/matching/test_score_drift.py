"""A drift is found where there is one, by how much, and not where there is none."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import pytest

from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.manifest import EmbeddingManifest, load_embedding_manifest
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.score_drift import (
    SCORE_BOUNDS,
    DriftVerdict,
    ExpectedScores,
    UnknownScores,
    missed_share,
)

ALPHA = 0.01
TARGET = 0.01


@pytest.fixture(scope="module")
def manifest() -> EmbeddingManifest:
    return load_embedding_manifest(shipped_model(EMBEDDING))


def drawn(
    manifest: EmbeddingManifest, people: int, tracks: int, shift: float, seed: int
) -> list[float]:
    """Best similarities of impostors, each compared with so many people by the manifest's own
    table, and all moved.
    """
    rng = np.random.default_rng(seed)
    lowest = (1.0, manifest.impostor_quantiles[0][1] - 0.25)
    ps, similarities = zip(lowest, *manifest.impostor_quantiles, strict=True)
    shares = rng.random((tracks, people))
    each = np.interp(np.log(shares), np.log(ps)[::-1], similarities[::-1])
    return list(each.max(axis=1) + shift)


def decided(similarities: list[float], threshold: float, known: int = 0) -> UnknownScores:
    counts = [0] * (len(SCORE_BOUNDS) + 1)
    for similarity in similarities:
        if similarity < threshold:
            counts[bisect_left(SCORE_BOUNDS, similarity)] += 1
    return UnknownScores(tuple(counts), known)


@pytest.mark.parametrize("people", [1, 5, 20])
def test_people_as_they_were_measured_are_no_drift(
    manifest: EmbeddingManifest, people: int
) -> None:
    threshold = GalleryThresholds.of(manifest).threshold(TARGET, [1] * people)
    expected = ExpectedScores(manifest, [1] * people, threshold)
    for seed in range(30):
        scores = decided(drawn(manifest, people, 500, 0.0, seed), threshold)
        verdict = expected.judge(scores, ALPHA)
        assert verdict.state == "none"
        assert verdict.fpir == pytest.approx(TARGET, rel=0.1)


@pytest.mark.parametrize("people", [1, 5, 20])
@pytest.mark.parametrize("shift", [-0.15, -0.1, 0.1, 0.15])
def test_a_shift_is_found_and_measured(
    manifest: EmbeddingManifest, people: int, shift: float
) -> None:
    threshold = GalleryThresholds.of(manifest).threshold(TARGET, [1] * people)
    expected = ExpectedScores(manifest, [1] * people, threshold)
    similarities = drawn(manifest, people, 2000, shift, seed=7)
    verdict = expected.judge(decided(similarities, threshold), ALPHA)
    assert verdict.state == ("higher" if shift > 0 else "lower")
    assert verdict.shift == pytest.approx(shift, abs=0.02)
    named = np.mean(np.array(similarities) >= threshold)
    assert verdict.fpir == pytest.approx(named, abs=0.02)
    advised = threshold + verdict.shift
    again = drawn(manifest, people, 50_000, shift, seed=8)
    assert np.mean(np.array(again) >= advised) == pytest.approx(TARGET, abs=0.005)


def test_enrolled_people_who_are_not_recognised_raise_no_alarm(manifest: EmbeddingManifest) -> None:
    threshold = GalleryThresholds.of(manifest).threshold(TARGET, [1] * 5)
    expected = ExpectedScores(manifest, [1] * 5, threshold)
    missed = missed_share(manifest, threshold)
    known, strangers = 200, drawn(manifest, 5, 400, 0.0, seed=3)
    unrecognised = [threshold - 0.02] * round(known * missed / (1 - missed))
    for recognised, state in ((known, "none"), (0, "higher")):
        scores = decided(strangers + unrecognised, threshold, recognised)
        assert expected.judge(scores, ALPHA).state == state


def test_what_was_found_stays_until_it_is_contradicted(manifest: EmbeddingManifest) -> None:
    threshold = GalleryThresholds.of(manifest).threshold(TARGET, [1] * 5)
    expected = ExpectedScores(manifest, [1] * 5, threshold)

    def judged(tracks: int, shift: float, before: DriftVerdict | None = None) -> DriftVerdict:
        return expected.judge(
            decided(drawn(manifest, 5, tracks, shift, seed=5), threshold), ALPHA, before
        )

    found = judged(2000, 0.12)
    assert judged(150, 0.12, found) == found, "fewer tracks know less"
    assert judged(3000, 0.12, found).tracks > found.tracks
    assert judged(300, 0.0, found).state == "none", "it is over"
    assert judged(300, -0.15, found).state == "lower"
    quiet = judged(2000, 0.0)
    assert judged(150, 0.0, quiet) == quiet
    assert judged(300, 0.15, quiet).state == "higher"


def test_few_tracks_prove_nothing(manifest: EmbeddingManifest) -> None:
    threshold = GalleryThresholds.of(manifest).threshold(TARGET, [1])
    expected = ExpectedScores(manifest, [1], threshold)
    assert expected.judge(decided([0.5], threshold), ALPHA).state == "none"
    assert expected.judge(decided([], threshold), ALPHA).state == "none"


def test_what_was_not_measured_may_be_missed_altogether(manifest: EmbeddingManifest) -> None:
    assert missed_share(manifest, 0.99) == pytest.approx(1.0, abs=1e-3)
    (p, similarity) = manifest.genuine_quantiles[0]
    assert missed_share(manifest, similarity) == p
    assert (
        missed_share(
            manifest.model_copy(update={"genuine_quantiles": (), "calibration": None}), 0.2
        )
        == 1.0
    )
