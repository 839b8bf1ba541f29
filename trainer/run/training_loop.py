"""The step loop of one training stage: schedule, curves, checkpoints, validation."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import keras
import numpy as np

from trainer.data.batches import Batch
from trainer.network.objective import ReidModel
from trainer.recipe.recipe import Recipe, Stage
from trainer.run.checkpoint import TrainingPosition, checkpoint_of, diverged, write_checkpoint
from trainer.run.run_curves import Curves
from trainer.run.training_progress import TrainingProgress

_LOG_EVERY = 50
_LINES_PER_STAGE = 20
"""A short stage gets as many lines in its curves all the same."""
_LAST_RATE = 0.01
_STOPPING = (signal.SIGINT, signal.SIGTERM)
_SIGNALLED = 128
"""Plus the signal's number: the exit code of what a signal ended."""


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


class Means:
    """Losses averaged since they were last taken."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, values: Mapping[str, float]) -> None:
        """Add the losses of one step."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def take(self) -> dict[str, float]:
        """The averages so far; then begin anew."""
        means = {name: value / self._count for name, value in self._sums.items()}
        self._sums, self._count = {}, 0
        return means


class StageRun:
    """Trains a compiled model for the length of a stage.

    `validate` is called with where the run is while the model holds its averaged weights, and
    returns the scores.
    """

    def __init__(
        self,
        recipe: Recipe,
        stage: Stage,
        model: ReidModel,
        *,
        run: Path,
        steps: int,
        validate: Callable[[TrainingPosition], dict[str, float]],
    ) -> None:
        self._recipe, self._stage, self._model = recipe, stage, model
        self._run, self._steps, self._validate = run, steps, validate
        self._log_every = max(1, min(_LOG_EVERY, steps // _LINES_PER_STAGE))
        self._means = Means()
        self._saved_s = time.monotonic()

    def go(self, batches: Iterator[Batch], at: TrainingPosition) -> dict[str, float]:
        """Step until the epochs are done or the minutes are over; returns the last scores.

        Raises:
            KeyboardInterrupt, SystemExit: after Ctrl-C or SIGTERM, when the step in hand is saved.
            TrainingError: a loss or a weight is no longer finite.
        """
        clock = Clock.resumed(at.elapsed_s)
        self._curves = Curves(self._run, at)
        title = f"{self._title(at)} {self._stage.height_px}×{self._stage.width_px}"
        with (
            TrainingProgress(title, self._steps, self._done(at.step, clock)) as self._shown,
            stop_waits(self._shown.say) as stop,
        ):
            if at == TrainingPosition() and self._recipe.start_from is not None:
                self._score(at)
            while (done := self._done(at.step, clock)) < 1.0 and not stop.asked:
                rate = learning_rate(self._stage, at.step, done)
                batch = next(batches)
                losses = self._saved_step(batch, at, rate)
                at = TrainingPosition(at.stage, at.step + 1, clock.elapsed_s())
                done = self._done(at.step, clock)
                self._shown.advance(at.step, done, losses["loss"], len(batch.labels))
                self._after_step(at, losses, rate)
            self._say_if_cut_short(at, stop)
            scores = {} if stop.asked else self._score(at)
            # At a stage's end too: its averages are put on disk only after this.
            write_checkpoint(checkpoint_of(self._run, self._model, at))
            if stop.asked:
                self._shown.say(f"saved; go on with: edge-reid train --resume {self._run}")
                raise stop.exception()
        return scores

    def _title(self, at: TrainingPosition) -> str:
        return f"stage {at.stage + 1} of {len(self._recipe.stages)},"

    def _say_if_cut_short(self, at: TrainingPosition, stop: StopRequest) -> None:
        """A busy machine may do a few steps in the minutes that an idle one does all in."""
        least = min(self._stage.least_steps, self._steps)
        if at.step < least and not stop.asked:
            self._shown.say(
                f"warning: {self._title(at)} expected {least} steps at least, got {at.step} in "
                f"{self._stage.minutes:g} minutes: it has hardly learnt; give more minutes, or none"
            )

    def _saved_step(self, batch: Batch, at: TrainingPosition, rate: float) -> dict[str, float]:
        """Do a step and, when a checkpoint is due, save the state before it.

        Only the step's loss shows whether that state was good: weights that an update blew up
        can still be finite.
        """
        due = time.monotonic() - self._saved_s > self._recipe.checkpoint_every_s
        state = checkpoint_of(self._run, self._model, at) if due else None
        losses = self._step(batch, at, rate)
        if state is not None:
            write_checkpoint(state)
            self._saved_s = time.monotonic()
        return losses

    def _step(self, batch: Batch, at: TrainingPosition, rate: float) -> dict[str, float]:
        """One update; returns the losses of its batch."""
        self._model.optimizer.learning_rate = rate
        target = {"label": batch.labels, "teacher": batch.teacher}
        result = self._model.train_on_batch(batch.images, target, return_dict=True)
        losses = {name: float(value) for name, value in result.items()}
        if not math.isfinite(losses["loss"]):
            raise diverged(f"a finite loss, got {losses['loss']}", self._run, at)
        return losses

    def _after_step(self, at: TrainingPosition, losses: dict[str, float], rate: float) -> None:
        self._means.add(losses)
        if at.step % self._log_every == 0:
            seen = {"elapsed_s": round(at.elapsed_s, 1), "learning_rate": rate}
            if speed := self._shown.images_per_s():
                seen["images_per_s"] = speed
            self._curves.add(at, seen | self._means.take())
        if at.step % self._recipe.evaluate_every == 0 and at.step < self._steps:
            self._score(at)

    def _done(self, step: int, clock: Clock) -> float:
        """Part of the stage that is over, by steps or by time, whichever is further."""
        minutes = self._stage.minutes
        by_time = clock.elapsed_s() / (60 * minutes) if minutes else 0.0
        return min(1.0, max(step / self._steps, by_time))

    def _score(self, at: TrainingPosition) -> dict[str, float]:
        with averaged_weights(self._model):
            scores = self._validate(at)
        self._curves.add(at, scores)
        shown = ", ".join(
            f"{n.removeprefix('validation_')} {100 * v:.1f}" for n, v in scores.items()
        )
        self._shown.say(f"{self._title(at)} step {at.step}: validation in %: {shown}")
        return scores


def learning_rate(stage: Stage, step: int, done: float) -> float:
    """Linear warm-up, then half a cosine down to a hundredth; `done` is the part that is over."""
    warm = min(1.0, (step + 1) / stage.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return stage.learning_rate * warm * (_LAST_RATE + (1 - _LAST_RATE) * cosine)


@contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Set the trainable variables to their moving averages in the block."""
    own = [np.array(keras.ops.convert_to_numpy(v)) for v in model.trainable_variables]
    # Before the first update there is no average yet, only zeros.
    if int(model.optimizer.iterations) > 0:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, own, strict=True):
            variable.assign(value)


class StopRequest:
    """The signal that asked a run to stop, if one did."""

    def __init__(self) -> None:
        self._number: int | None = None

    @property
    def asked(self) -> bool:
        """Whether the run was asked to stop."""
        return self._number is not None

    def note(self, number: int) -> None:
        """Remember the signal."""
        self._number = number

    def exception(self) -> BaseException:
        """The exception to leave by, with the exit code of the signal: 130 or 143."""
        if self._number == signal.SIGTERM:
            return SystemExit(_SIGNALLED + signal.SIGTERM)
        return KeyboardInterrupt()


@contextmanager
def stop_waits(say: Callable[[str], None]) -> Iterator[StopRequest]:
    """Note the first Ctrl-C or SIGTERM in the block; a second one leaves at once.

    A step that is cut through leaves weights that belong to no step, and nothing to go on from.
    """
    stop = StopRequest()

    def note(number: int, _frame: FrameType | None) -> None:
        again = stop.asked
        stop.note(number)
        if again:
            raise stop.exception()
        say("stopping after this step; a second time leaves at once, without saving")

    # A run in the background has Ctrl-C ignored, one in a thread cannot change what it does.
    main = threading.current_thread() is threading.main_thread()
    usual = {number: signal.getsignal(number) for number in _STOPPING} if main else {}
    heeded = {number: before for number, before in usual.items() if before is not signal.SIG_IGN}
    for number in heeded:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        for number, before in heeded.items():
            signal.signal(number, before)
