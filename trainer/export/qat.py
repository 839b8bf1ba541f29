"""Quantisation-aware fine-tuning: the int8 twin of a network learns to answer as it does.

No labels and no teacher are needed: the network itself is the teacher, on the very crops the twin
sees (knowledge distillation for quantised networks: Mishra & Marr, "Apprentice", ICLR 2018).
"""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from trainer.data.augment import augment
from trainer.network.fake_quant import Ranges, int8_twin, learned
from trainer.network.losses import unit
from trainer.recipe.augment_settings import AugmentConfig

ImageBatch = npt.NDArray[np.uint8]

LEARNING_RATE = 3e-4
"""In int8 steps about 0.04 of a weight's and 0.08 of a map's, an update at most."""
_BATCH = 16
_WARMUP_STEPS = 10


def fine_tune(
    folded: keras.Model,
    ranges: Ranges,
    crops: ImageBatch,
    *,
    minutes: float,
    changes: AugmentConfig,
    seed: int,
) -> Ranges:
    """Train the int8 twin of `folded` for `minutes` and copy it back; returns the learned ranges.

    Args:
        folded: of `folding.fold`; its weights are changed.
        ranges: of `calibration.activation_ranges`.
        crops: (N, H, W, 3) RGB uint8 of any people; nobody's name is used.
        minutes: wall time; the learning rate falls to 0 over it.
        changes: how crops are varied.
        seed: of the order and the changes.
    """
    teacher, twin = keras.models.clone_model(folded), int8_twin(folded, ranges)
    teacher.set_weights(folded.get_weights())
    student = keras.Model(twin.input, twin.output)
    # Keras runs JAX op by op unless told to compile; XLA is slower than TensorFlow on a CPU.
    compiled = keras.backend.backend() == "jax"
    optimizer = keras.optimizers.Adam(0.0, global_clipnorm=1.0)
    student.compile(optimizer=optimizer, loss=_angle, jit_compile=compiled)
    teacher.compile(jit_compile=compiled)
    rng = np.random.default_rng(seed)
    clock = _Clock(60.0 * minutes)
    with _progress() as shown:
        task = shown.add_task("learning int8", total=1.0, loss="")
        while (done := clock.done()) < 1.0:
            chosen = rng.integers(0, len(crops), _BATCH)
            images = augment(crops[chosen], changes, rng).astype(np.float32)
            student.optimizer.learning_rate = clock.learning_rate(done)
            loss = student.train_on_batch(images, teacher.predict_on_batch(images))
            shown.update(task, completed=done, loss=f"1 - cosine {float(loss):.4f}")
        shown.update(task, completed=1.0)
    return learned(twin, folded)


def _angle(target: Any, embeddings: Any) -> Any:
    """1 - cosine of rows (B, D)."""
    return 1.0 - ops.sum(unit(target) * unit(embeddings), axis=-1)


class _Clock:
    """How far the training is, by wall time."""

    def __init__(self, length_s: float) -> None:
        self._length_s, self._step = length_s, 0
        self._started_s = time.monotonic()

    def done(self) -> float:
        if self._step <= 1:  # the first step, in which Keras builds its graph, is not counted
            self._started_s = time.monotonic()
        return (time.monotonic() - self._started_s) / self._length_s

    def learning_rate(self, done: float) -> float:
        """Linear warm-up, then half a cosine to 0."""
        self._step += 1
        warm = min(1.0, self._step / _WARMUP_STEPS)
        return float(LEARNING_RATE * warm * 0.5 * (1.0 + np.cos(np.pi * min(done, 1.0))))


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}"),
        console=Console(stderr=True),
    )
