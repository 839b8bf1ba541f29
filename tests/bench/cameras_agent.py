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

Note = Callable[[str, Any, int], None]
"""Takes the name of a camera, the picture that was looked at, and how many events it brought."""


def main(config: Path, log: Path) -> None:
    with log.open("a", buffering=1) as lines:

        def note(camera: str, picture: Any, events: int) -> None:
            look = {"camera": camera, "number": number_in(picture), "moment_s": monotonic()}
            lines.write(json.dumps(look | {"events": events}) + "\n")

        try:
            run = agent_of_now(note)
        except ImportError:
            run = agent_of_one_camera(note)
        with suppress(KeyboardInterrupt):
            run(load_settings(config, {}))


def agent_of_now(note: Note) -> Callable[[Any], Any]:
    from edge_reid.agent.app import Outputs, run_agent
    from edge_reid.agent.watched_camera import Turn, WatchedCamera

    take = WatchedCamera.take

    def noted(camera: WatchedCamera, turn: Turn) -> Any:
        runs = camera.counters.detections_run
        step = take(camera, turn)
        if camera.counters.detections_run > runs:
            note(camera.name, step.frame.image, len(step.hits))
        return step

    WatchedCamera.take = noted  # type: ignore[method-assign]
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
            note(self._settings.camera, frame.image, sum(told))

    agent._handle, agent._tell = noted, counted
    return lambda settings: supervisor.run_agent(
        settings, outputs=supervisor.Outputs(), observer=RunScreen(quiet=True)
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
