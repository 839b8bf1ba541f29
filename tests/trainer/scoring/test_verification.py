"""TAR@FAR and ROC against counting by hand and by loops."""

from __future__ import annotations

import numpy as np
import pytest

from edge_reid.core.errors import TrainingError
from trainer.scoring.ranking_metrics import People
from trainer.scoring.verification import (
    ERRORS_BEHIND,
    pair_similarities,
    roc,
    tar_at_far,
    tars_at_fars,
)


def crowd(seed: int, count: int) -> People:
    rng = np.random.default_rng(seed)
    e = rng.normal(size=(count, 6)).astype(np.float32)
    return People(e, rng.integers(-1, 5, count), rng.integers(0, 3, count), np.ones(count))


@pytest.mark.parametrize("cross_camera", [True, False])
def test_pairs_are_those_of_the_protocol(cross_camera: bool) -> None:
    query, gallery = crowd(0, 700), crowd(1, 40)  # more queries than one chunk holds
    impostor, genuine = pair_similarities(query, gallery, cross_camera=cross_camera)
    expected: dict[bool, list[float]] = {True: [], False: []}
    for a, person, seen in zip(query.embeddings, query.labels, query.cameras, strict=True):
        for b, other, there in zip(
            gallery.embeddings, gallery.labels, gallery.cameras, strict=True
        ):
            if person < 0 or other < 0 or (cross_camera and person == other and seen == there):
                continue
            expected[bool(person == other)].append(float(a @ b))
    assert sorted(impostor.tolist()) == pytest.approx(sorted(expected[False]), abs=1e-5)
    assert sorted(genuine.tolist()) == pytest.approx(sorted(expected[True]), abs=1e-5)


def test_the_rate_is_counted_by_hand() -> None:
    """Of 3,000 impostors 30 may pass at 1 %: the 31st best, 0.99, must not."""
    impostor = np.linspace(1, 0, 1001, dtype=np.float32).repeat(3)[:3000]  # 1, 1, 1, 0.999, …
    assert sorted(impostor)[::-1][30] == pytest.approx(0.99)
    genuine = np.array([0.99, 0.9901, 1.0, 0.5], np.float32)
    assert tar_at_far(impostor, genuine, 0.01) == 0.5


def test_several_rates_in_one_go_agree_with_one_at_a_time() -> None:
    rng = np.random.default_rng(0)
    impostor = rng.normal(0, 1, 40_000).astype(np.float32)
    genuine = rng.normal(2, 1, 500).astype(np.float32)
    found = tars_at_fars(impostor, genuine, (1e-2, 1e-3))
    for far, tar in found.items():
        assert tar == tar_at_far(impostor, genuine, far)
        threshold = np.sort(impostor)[::-1][int(far * len(impostor))]
        assert tar == np.mean(genuine > threshold)


def test_a_rate_that_too_few_comparisons_show_is_refused() -> None:
    impostor, genuine = np.zeros(2999, np.float32), np.ones(1, np.float32)
    with pytest.raises(TrainingError, match=f"at least {ERRORS_BEHIND * 100:,} impostor .* 2,999"):
        tar_at_far(impostor, genuine, 0.01)
    with pytest.raises(TrainingError, match="got 2999 and 0"):
        roc(impostor, genuine[:0])


def test_the_curve_says_what_counting_says() -> None:
    rng = np.random.default_rng(1)
    impostor = rng.integers(0, 200, 5000).astype(np.float32) / 200  # with many ties
    genuine = rng.integers(100, 300, 700).astype(np.float32) / 300
    curve = roc(impostor, genuine, points=50)
    assert (np.diff(curve.thresholds) < 0).all()
    for fpr, tpr, threshold in zip(curve.fpr, curve.tpr, curve.thresholds, strict=True):
        assert fpr == pytest.approx(np.mean(impostor >= np.float32(threshold)))
        assert tpr == pytest.approx(np.mean(genuine >= np.float32(threshold)))
    assert curve.fpr[-1] == 1.0
