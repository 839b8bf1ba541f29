"""A detector learns to find whom it is told of; what it says of everybody else stays."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.trainer
distillation = pytest.importorskip("trainer.detector.distillation", reason="needs TensorFlow")

import tensorflow as tf  # noqa: E402
from small_ssd import ANCHORS, small_weights  # noqa: E402

from trainer.conversion.ssd import build_detector, to_tflite  # noqa: E402
from trainer.detector.anchor_targets import AnchorTargets  # noqa: E402
from trainer.detector.lessons import Lesson  # noqa: E402

SIDE_PX = 64
CELLS = (SIDE_PX // 16) ** 2 + (SIDE_PX // 32) ** 2
SOMEBODY = 5
"""The anchor that is to find them."""


def lesson(seed: int) -> Lesson:
    picture = np.random.default_rng(seed).integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    scores = np.zeros(ANCHORS * CELLS, np.float32)
    offsets = np.zeros((ANCHORS * CELLS, 4), np.float32)
    scores[SOMEBODY], offsets[SOMEBODY] = 0.9, (1.0, -1.0, 0.5, 2.0)
    return Lesson(picture, AnchorTargets(scores, offsets))


def test_who_is_taught_is_found_and_nobody_else_more_than_before() -> None:
    weights, lessons = small_weights(), [lesson(seed) for seed in range(2)]
    taught = distillation.distil(weights, lessons, steps=300, seed=0, rate=3e-3)
    assert taught.input_shape == (1, SIDE_PX, SIDE_PX, 3)
    before = build_detector(weights, SIDE_PX)
    for each in lessons:
        picture = each.picture[np.newaxis].astype(np.float32)
        offsets, scores = (np.asarray(part)[0] for part in taught(picture))
        was = np.asarray(before(picture)[1])[0]
        others = np.arange(len(scores)) != SOMEBODY
        assert scores[SOMEBODY, 0] > 0.7 > was[SOMEBODY, 0]
        assert np.abs(scores - was)[others].max() < 0.3
        assert offsets[SOMEBODY] == pytest.approx(each.targets.offsets[SOMEBODY], abs=0.4)


def test_it_is_written_as_a_detector_is(tmp_path: object) -> None:
    taught = distillation.distil(small_weights(), [lesson(0)], steps=1, seed=0)
    model = tf.lite.Interpreter(model_content=to_tflite(taught))
    assert {tuple(out["shape"]) for out in model.get_output_details()} == {
        (1, ANCHORS * CELLS, 4),
        (1, ANCHORS * CELLS, 1),
    }
    assert model.get_input_details()[0]["dtype"] is np.uint8


def test_no_loss_where_all_is_as_wanted() -> None:
    wanted = tf.constant([[0.9, 0.0, 0.0]])
    was = tf.constant([[0.2, 0.6, 0.1]])
    right = tf.constant([[0.9, 0.6, 0.1]])
    assert float(distillation.score_loss(wanted, right, was)) == pytest.approx(0, abs=1e-6)
    assert float(distillation.score_loss(wanted, was, was)) > 0.1, "somebody is missed"
    found_before = tf.constant([[0.95, 0.6, 0.1]])
    assert float(distillation.score_loss(wanted, found_before, found_before)) == pytest.approx(
        0, abs=1e-6
    ), "who was surer than the teachers may be"


def test_boxes_count_only_of_people() -> None:
    wanted = tf.constant([[0.9, 0.0]])
    offsets, said = tf.zeros((1, 2, 4)), tf.constant([[[0.0] * 4, [3.0] * 4]])
    assert float(distillation.box_loss(wanted, offsets, said)) == 0
    assert float(distillation.box_loss(wanted, offsets, said[:, ::-1])) == pytest.approx(
        0.9 * 4 * 2.5 / 1.9
    )
