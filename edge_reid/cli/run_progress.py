"""What a person sees while the agent runs, and at its end."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from edge_reid.agent.agent_parts import AgentParts
from edge_reid.agent.event_output import EventOutput
from edge_reid.agent.metrics import RunSummary
from edge_reid.agent.observers import Observer
from edge_reid.agent.pipeline import Step
from edge_reid.core.foreign_text import LOGGED_MAX, shown


class RunScreen(Observer):
    """An observer that shows the progress of a run on stderr.

    Args:
        quiet: show nothing but notices, which matter.
        summary_to_stderr: stdout carries events, keep the summary off it.
    """

    def __init__(self, *, quiet: bool = False, summary_to_stderr: bool = False) -> None:
        self._console = Console(stderr=True)
        self._out = Console(stderr=summary_to_stderr)
        self._quiet = quiet
        self._outputs: dict[str, EventOutput] = {}  # by camera
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=quiet,
        )
        self._tasks: dict[str, TaskID] = {}
        self._starting = self._progress.add_task("starting", total=None, state="")

    def __enter__(self) -> RunScreen:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # a run that never began leaves its error alone, not below a bar that says nothing
        self._progress.live.transient = not self._tasks
        self._progress.stop()

    def opened(self, parts: AgentParts, /) -> None:
        """Events are counted where they are written: not only frames bring some."""
        self._outputs = {camera.name: camera.output for camera in parts.cameras}

    def started(self, camera: str, frames_expected: int | None, /) -> None:
        """The source of a camera is open; None expects frames for ever."""
        self._progress.update(self._starting, visible=False)
        self._tasks[camera] = self._progress.add_task(camera, total=frames_expected, state="")

    def stepped(self, step: Step, /) -> None:
        """A frame went through."""
        state = f"{len(step.tracks)} people  {self._outputs[step.camera].written} events"
        self._progress.update(self._tasks[step.camera], advance=1, state=state)

    def notice(self, line: str, /) -> None:
        """Something a person should know now."""
        self._console.print(Text(shown(line, LOGGED_MAX), "yellow"), soft_wrap=True)

    def camera_notice(self, camera: str, line: str, /) -> None:
        """The same of a camera, which of several is named."""
        self.notice(f"{camera}: {line}" if len(self._outputs) > 1 else line)

    def interrupted(self, summary: RunSummary, /) -> None:
        """Somebody ended the run before its source did; this is what it brought."""
        self.closed()
        self._progress.stop()
        self.show(summary)

    def closed(self) -> None:
        """The tracks have ended, which brought the last events; nobody is in view any more."""
        for camera, task in self._tasks.items():
            state = f"0 people  {self._outputs[camera].written} events"
            self._progress.update(task, state=state)

    def show(self, summary: RunSummary) -> None:
        """The table at the end."""
        if self._quiet:
            return
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_column(style="bold")
        table.add_column()
        for name, value in summary_rows(summary):
            table.add_row(name, Text(value))
        self._out.print(table)


def summary_rows(summary: RunSummary) -> list[tuple[str, str]]:
    """The summary as name and value, for a table."""
    hits = ", ".join(f"{who} {count}" for who, count in sorted(summary.hits_by_identity.items()))
    real_time = summary.video_s / summary.wall_s if summary.wall_s else 0.0
    return [
        ("frames", f"{summary.frames} in {summary.wall_s:.1f} s"),
        ("speed", f"{summary.fps:.1f} frames/s, {real_time:.1f} × real time"),
        ("detector runs", str(summary.detections_run)),
        ("tracks", str(summary.tracks)),
        ("embeddings", str(summary.embeddings)),
        ("hits by identity", hits or "none"),
        ("unknown tracks", str(summary.unknown_tracks)),
        ("uncertain tracks", str(summary.uncertain_tracks)),
        ("dropped", f"{summary.dropped_frames} frames, {summary.dropped_events} events"),
        ("waiting in outbox", str(summary.waiting_events)),
    ]
