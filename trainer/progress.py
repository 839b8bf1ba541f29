"""The progress bar of training: loss, images per second and time left."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trainer.recipe import Stage


class TrainingProgress:
    """A bar for one stage, on standard error; a context manager."""

    def __init__(self, stage: Stage, steps: int, done: int) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
        )
        title = f"{stage.height_px}×{stage.width_px}"
        self._task = self._bar.add_task(title, total=steps, completed=done, note="")

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

    def advance(self, loss: float, images: int) -> None:
        """One step of `images` pictures is done."""
        speed = self._bar.tasks[0].speed
        rate = f"{speed * images:.0f} images/s, " if speed else ""
        self._bar.update(self._task, advance=1, note=f"{rate}loss {loss:.3f}")

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._bar.console.print(text, highlight=False)
