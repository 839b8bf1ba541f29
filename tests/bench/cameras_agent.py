"""An agent that writes down every look: `cameras.py` runs it.

python tests/bench/cameras_agent.py CONFIG LOG
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edge_reid.agent.app import Outputs, run_agent
from edge_reid.agent.pipeline import Step
from edge_reid.agent.watched_camera import Turn, WatchedCamera
from edge_reid.core.config import load_settings

take = WatchedCamera.take


def main(config: Path, log: Path) -> None:
    with log.open("a", buffering=1) as lines:

        def noted(camera: WatchedCamera, turn: Turn) -> Step:
            step = take(camera, turn)
            took_ms = camera.frames.age_s(step.frame) * 1e3
            look = {"camera": camera.name, "ms": round(took_ms, 1), "events": len(step.hits)}
            lines.write(json.dumps(look) + "\n")
            return step

        WatchedCamera.take = noted  # type: ignore[method-assign]
        run_agent(load_settings(config, {}), outputs=Outputs())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
