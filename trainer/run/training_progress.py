"""How far training is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from collections import deque
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

_LINE_EVERY_S = 30.0
_SPEED_OVER = 20
"""Steps that speed is measured over."""


class TrainingProgress:
    """Stage, steps, loss, speed and time left, on standard error; a context manager.

    Args:
        title: what is being trained, in a few words.
        steps: how many there are at most.
        done: part of the stage that is over already, 0 to 1.
    """

    def __init__(self, title: str, steps: int, done: float) -> None:
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)
        self._steps, self._title = steps, title
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=1.0, note="the first step takes longest …")
        self._bar.update(self._task, completed=done)
        self._began_s, self._began_at = time.monotonic(), done
        self._line_s = -_LINE_EVERY_S
        self._recent: deque[tuple[float, int]] = deque(maxlen=_SPEED_OVER)

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def advance(self, step: int, done: float, loss: float, images: int) -> None:
        """Show that a step of `images` pictures and the part `done` of the stage are over."""
        now_s = time.monotonic()
        if not self._recent:  # it compiled the network too, and says nothing of those to come
            self._began_s, self._began_at = now_s, done
        self._recent.append((now_s, images))
        note = f"step {step} of {self._steps}, loss {loss:.3f}{self._speed(now_s, done)}"
        self._bar.update(self._task, completed=done, note=note)
        if not self._console.is_terminal and now_s - self._line_s >= _LINE_EVERY_S:
            self._line_s = now_s
            self.say(f"{self._title}: {note}")

    def images_per_s(self) -> float | None:
        """Speed over the last steps; None before the second one."""
        if len(self._recent) < 2:  # noqa: PLR2004 - a speed needs two points in time
            return None
        took_s = self._recent[-1][0] - self._recent[0][0]
        return sum(images for _, images in list(self._recent)[1:]) / max(took_s, 1e-9)

    def _speed(self, now_s: float, done: float) -> str:
        speed, fresh = self.images_per_s(), done - self._began_at
        if speed is None or fresh <= 0:
            return ""
        left_s = (now_s - self._began_s) * (1.0 - done) / fresh
        return f", {speed:.0f} images/s, {timedelta(seconds=round(max(left_s, 0.0)))} left"

    def say(self, text: str) -> None:
        """Print a line of its own, above the bar."""
        self._console.print(text)
