"""Teaching a detector what it did not see before, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.conversion.ssd import SsdWeights, build_detector
from trainer.detector.lessons import Lesson
from trainer.files.progress_bars import bar
from trainer.network.optimizer import AveragingAdamW

_BATCH = 8
RATE = 5e-5
_WARM_UP = 100
"""Steps until the rate is reached."""
_WEIGHT_DECAY = 1e-5
_CLIP_NORM = 5.0
_EMA = 0.998
_BOX_SHARE = 0.5
"""Of the loss of boxes, beside that of scores."""
_SCALE = 4.0
"""Of the loss of scores."""
_LEAST = 1e-6
"""Scores are kept so far from 0 and 1, whose logarithms are infinite."""


def distil(
    weights: SsdWeights, lessons: Sequence[Lesson], *, steps: int, seed: int, rate: float = RATE
) -> keras.Model:
    """A detector (1, S, S, 3) like `build_detector`'s, taught in steps of 8 pictures.

    Args:
        weights: what it begins with.
        lessons: pictures (S, S, 3) to choose from at random.
        steps: how many.
        seed: of that choice.
        rate: the largest of the learning rates, which rise for 100 steps and fall as a cosine.
    """
    side_px = lessons[0].picture.shape[0]
    student = build_detector(weights, side_px, batch=_BATCH)
    before = build_detector(weights, side_px, batch=_BATCH)
    optimizer = AveragingAdamW(
        _rates(rate, steps),
        weight_decay=_WEIGHT_DECAY,
        global_clipnorm=_CLIP_NORM,
        use_ema=True,
        ema_momentum=_EMA,
    )
    step = _step_of(student, before, optimizer)
    for batch in bar(list(_batches(len(lessons), steps, seed)), "teaching"):
        step(*_stacked([lessons[index] for index in batch]))
    optimizer.finalize_variable_values(student.trainable_variables)
    taught = build_detector(weights, side_px)
    taught.set_weights(student.get_weights())
    return taught


def _rates(highest: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    warm_up = min(_WARM_UP, steps // 2)
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=highest, warmup_steps=max(1, warm_up)
    )


def _batches(lessons: int, steps: int, seed: int) -> Iterator[npt.NDArray[np.intp]]:
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        yield rng.integers(lessons, size=_BATCH)


def _stacked(lessons: Sequence[Lesson]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    return (
        tf.constant(np.stack([each.picture for each in lessons]), tf.float32),
        tf.constant(np.stack([each.targets.scores for each in lessons])),
        tf.constant(np.stack([each.targets.offsets for each in lessons])),
    )


def _step_of(
    student: keras.Model, before: keras.Model, optimizer: keras.optimizers.Optimizer
) -> Callable[..., Any]:
    variables = student.trainable_variables

    def step(pictures: tf.Tensor, scores: tf.Tensor, offsets: tf.Tensor) -> None:
        _, was = before(pictures)
        with tf.GradientTape() as tape:
            said_offsets, said = student(pictures, training=True)
            loss = score_loss(scores, said[..., 0], was[..., 0])
            loss += _BOX_SHARE * box_loss(scores, offsets, said_offsets)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    taken: Callable[..., Any] = tf.function(step, autograph=False)
    return taken


def score_loss(wanted: tf.Tensor, said: tf.Tensor, was: tf.Tensor) -> tf.Tensor:
    """Quality focal loss (Li et al., "Generalized Focal Loss", NeurIPS 2020) of scores (B, N).

    Who was found before is to be found as surely as then; where nobody is taught, all stays as it
    `was`, also what the teachers do not see.
    """
    target = tf.maximum(wanted, was)
    said = tf.clip_by_value(said, _LEAST, 1 - _LEAST)
    entropy = -target * tf.math.log(said) - (1 - target) * tf.math.log(1 - said)
    return _SCALE * tf.reduce_sum(entropy * (target - said) ** 2) / (1 + tf.reduce_sum(wanted))


def box_loss(wanted: tf.Tensor, offsets: tf.Tensor, said: tf.Tensor) -> tf.Tensor:
    """Smooth L1 of the offsets (B, N, 4) of anchors that are to find somebody."""
    off = tf.abs(offsets - said)
    smooth = tf.reduce_sum(tf.where(off < 1, off**2 / 2, off - 0.5), axis=-1)
    return tf.reduce_sum(wanted * smooth) / (1 + tf.reduce_sum(wanted))
