"""An agent that writes down every look of its detector: `cameras.py` runs it.

python tests/bench/cameras_agent.py CONFIG LOG

Of this version, or of an earlier one with the Python of an environment that has that. Which picture
was looked at says the number in it (`picture_clock`), so that no version is believed about its own
age.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from support.picture_clock import number_in

try:
    from edge_reid.core.config.settings_file import load_settings
except ImportError:  # of 0.5.0 and before
    from edge_reid.core.config import load_settings

Note = Callable[[str, int, int], None]
"""Takes the name of a camera, the number of the picture that was looked at, and how many events it
brought."""


def main(config: Path, log: Path) -> None:
    with log.open("a", buffering=1) as lines:

        def note(camera: str, number: int, events: int) -> None:
            look = {"camera": camera, "number": number, "moment_s": monotonic()}
            lines.write(json.dumps(look | {"events": events}) + "\n")

        try:
            run = agent_of_now(note)
        except ImportError:
            run = agent_of_one_camera(note)
        with suppress(KeyboardInterrupt):
            run(load_settings(config, {}))


def agent_of_now(note: Note) -> Callable[[Any], Any]:
    from edge_reid.agent.app import Outputs, run_agent
    from edge_reid.agent.pipeline import Step
    from edge_reid.agent.watched_camera import Turn, WatchedCamera

    look, finish = WatchedCamera.look, WatchedCamera.finish
    numbers: dict[Turn, int] = {}

    def looked(camera: WatchedCamera, turn: Turn) -> Step:
        runs = camera.counters.detections_run
        step = look(camera, turn)
        if camera.counters.detections_run > runs:
            numbers[turn] = number_in(step.frame.image)
        return step

    def finished(camera: WatchedCamera, turn: Turn, step: Step) -> None:
        finish(camera, turn, step)
        if (number := numbers.pop(turn, None)) is not None:
            note(camera.name, number, len(step.hits))

    WatchedCamera.look = looked  # type: ignore[method-assign]
    WatchedCamera.finish = finished  # type: ignore[method-assign]
    return lambda settings: run_agent(settings, outputs=Outputs())


def agent_of_one_camera(note: Note) -> Callable[[Any], Any]:
    from edge_reid.cli.screen import RunScreen

    from edge_reid.agent import supervisor

    agent = supervisor._Agent
    handle, tell = agent._handle, agent._tell
    told: list[int] = []

    def counted(self: Any, hits: Any) -> None:
        told.append(len(hits))
        tell(self, hits)

    def noted(self: Any, frame: Any) -> None:
        runs = self._pipeline.counters.detections_run
        told.clear()
        handle(self, frame)
        if self._pipeline.counters.detections_run > runs:
            note(self._settings.camera, number_in(frame.image), sum(told))

    agent._handle, agent._tell = noted, counted
    return lambda settings: supervisor.run_agent(
        settings, outputs=supervisor.Outputs(), observer=RunScreen(quiet=True)
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
