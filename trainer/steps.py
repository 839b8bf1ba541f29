"""The step loop of one training stage: schedule, curves, checkpoints, validation."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from edge_reid.core.errors import TrainingError
from trainer.batches import Batch
from trainer.checkpoint import Progress, save_checkpoint
from trainer.losses import ReidModel
from trainer.progress import TrainingProgress
from trainer.recipe import Recipe, Stage

CURVES = "curves.jsonl"
_LOG_EVERY = 50
_LAST_RATE = 0.01


@dataclass(slots=True)
class Clock:
    """Wall time of a stage, going on from what an earlier process spent on it."""

    started_s: float

    @classmethod
    def resumed(cls, elapsed_s: float) -> Clock:
        """A clock that already shows `elapsed_s`."""
        return cls(time.monotonic() - elapsed_s)

    def elapsed_s(self) -> float:
        """Seconds this stage has run."""
        return time.monotonic() - self.started_s


class StageRun:
    """Trains a compiled model for the length of a stage."""

    def __init__(
        self,
        recipe: Recipe,
        stage: Stage,
        model: ReidModel,
        *,
        run: Path,
        steps: int,
        validate: Callable[[], dict[str, float]],
    ) -> None:
        self._recipe, self._stage, self._model = recipe, stage, model
        self._run, self._steps, self._validate = run, steps, validate
        self._saved_s = time.monotonic()

    def go(self, batches: Iterator[Batch], at: Progress) -> dict[str, float]:
        """Step until the epochs are done or the minutes are over; returns the last scores."""
        clock = Clock.resumed(at.elapsed_s)
        step = at.step
        with TrainingProgress(self._stage, self._steps, step) as shown:
            try:
                while (done := self._done(step, clock)) < 1.0:
                    self._model.optimizer.learning_rate = learning_rate(self._stage, step, done)
                    batch = next(batches)
                    losses = self._step(batch, step)
                    step += 1
                    shown.advance(losses["loss"], len(batch.labels))
                    self._after_step(Progress(at.stage, step, clock.elapsed_s()), losses)
            except KeyboardInterrupt:
                self._save(Progress(at.stage, step, clock.elapsed_s()))
                shown.say(f"saved; go on with: edge-reid train --resume {self._run}")
                raise
        return self._score(Progress(at.stage, step))

    def _after_step(self, at: Progress, losses: dict[str, float]) -> None:
        if at.step % _LOG_EVERY == 0:
            self._log(at, {"elapsed_s": round(at.elapsed_s), **losses})
        if at.step % self._recipe.evaluate_every == 0:
            self._score(at)
        if time.monotonic() - self._saved_s > self._recipe.checkpoint_every_s:
            self._save(at)

    def _step(self, batch: Batch, step: int) -> dict[str, float]:
        """One update; returns the losses averaged since the last line of the curves."""
        if step % _LOG_EVERY == 0:
            self._model.reset_metrics()
        target = {"label": batch.labels, "teacher": batch.teacher}
        result = self._model.train_on_batch(batch.images, target, return_dict=True)
        losses = {name: float(value) for name, value in result.items()}
        if not math.isfinite(losses["loss"]):
            raise TrainingError(
                f"expected a finite loss, found {losses['loss']} at step {step}; the last good "
                f"checkpoint is kept: lower learning_rate in {self._run}/recipe.json, then "
                f"edge-reid train --resume {self._run}"
            )
        return losses

    def _done(self, step: int, clock: Clock) -> float:
        """Part of the stage that is over, by steps or by time, whichever is further."""
        minutes = self._stage.minutes
        return max(step / self._steps, clock.elapsed_s() / (60 * minutes) if minutes else 0.0)

    def _save(self, at: Progress) -> None:
        save_checkpoint(self._run, self._model, at)
        self._saved_s = time.monotonic()

    def _score(self, at: Progress) -> dict[str, float]:
        with averaged_weights(self._model):
            scores = self._validate()
        self._log(at, scores)
        return scores

    def _log(self, at: Progress, values: dict[str, float]) -> None:
        line: dict[str, float] = {"stage": at.stage, "step": at.step}
        line |= {name: round(value, 4) for name, value in values.items()}
        with (self._run / CURVES).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def learning_rate(stage: Stage, step: int, done: float) -> float:
    """Linear warm-up, then half a cosine down to a hundredth; `done` is the part that is over."""
    warm = min(1.0, (step + 1) / stage.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return stage.learning_rate * warm * (_LAST_RATE + (1 - _LAST_RATE) * cosine)


@contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Inside, the trainable variables are their moving averages."""
    own = [np.asarray(keras.ops.convert_to_numpy(v)) for v in model.trainable_variables]
    # Before the first update there is no average yet, only zeros.
    if int(model.optimizer.iterations) > 0:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, own, strict=True):
            variable.assign(value)
