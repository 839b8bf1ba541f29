"""An agent that meters its stages and notes its crops: `stages.py` runs it.

python tests/bench/stages_agent.py CONFIG FOLDER
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
from stage_meter import StageMeter
from stages_decoder import FOLDER

from edge_reid.agent.app import Outputs, run_agent
from edge_reid.agent.event_output import EventOutput
from edge_reid.agent.metrics import StageClock
from edge_reid.agent.pipeline import Step
from edge_reid.agent.run_report import RunReport
from edge_reid.agent.watched_camera import Turn, WatchedCamera
from edge_reid.capture import decoder_process
from edge_reid.capture.closeup import Closeup, CloseupFinder
from edge_reid.capture.decoder_process import DecoderProcess
from edge_reid.capture.live_source import LiveSource
from edge_reid.core.config.settings_file import load_settings
from edge_reid.vision.camera_motion import CameraMotion

BENCH = "the bench itself"
"""What metering takes; it is not counted."""
PROGRAM = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
PROGRAM += "from stages_decoder import main; main()"


def main(config: Path, folder: Path) -> None:
    os.environ[FOLDER] = str(folder)
    cv2.setNumThreads(1)  # what OpenCV's own workers do could not be told by stage
    decoder_process._PROGRAM = PROGRAM
    meter = StageMeter()
    meter.wrap(LiveSource, "newest", "frame to RGB")
    meter.wrap(LiveSource, "_keep", "hear reports")
    meter.wrap(DecoderProcess, "next_report", "hear reports")
    meter.wrap(Closeup, "cut", "crops from the large stream")
    meter.wrap(CloseupFinder, "of", "crops from the large stream")
    meter.wrap(CameraMotion, "shift_px", "camera motion")
    meter.wrap(EventOutput, "write", "commit")
    meter.wrap(RunReport, "stepped", "status, observers")
    StageClock.stage = lambda _, name: meter.stage(name)  # type: ignore[assignment, method-assign]
    for part in ("begin", "look", "finish"):
        meter.wrap(WatchedCamera, part, "rest of a look")
    finish, crops = WatchedCamera.finish, (folder / "crops.jsonl").open("a", buffering=1)
    looks = 0

    def noted(camera: WatchedCamera, turn: Turn, step: Step) -> None:
        nonlocal looks
        finish(camera, turn, step)
        with meter.stage(BENCH):
            looks += 1
            note_crops(step)
            figures = dict(meter.cpu_s) | {"": time.process_time(), "looks": looks}
            whole = folder / "agent.part"
            whole.write_text(json.dumps(figures))
            whole.replace(folder / "agent.json")

    def note_crops(step: Step) -> None:
        began_s = {track.track_id: track.first_seen_utc_s for track in step.tracks}
        for crop in step.crops:
            line: dict[str, Any] = {"height": crop.image.shape[0], "quality": crop.quality}
            line |= {"track": crop.track_id, "is_enlarged": crop.is_enlarged}
            line |= {"after_s": crop.captured_utc_s - began_s[crop.track_id]}
            crops.write(json.dumps(line) + "\n")

    WatchedCamera.finish = noted  # type: ignore[method-assign]
    with suppress(KeyboardInterrupt):
        run_agent(load_settings(config, {}), outputs=Outputs())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
