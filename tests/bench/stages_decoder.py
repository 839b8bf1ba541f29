"""A decoder that meters its stages: `stages_agent.py` has the agent start it in place of its own.

What it has used so far lies in a file of its own that is mapped into memory before rights are given
up: afterwards it can write no file.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from stage_meter import StageMeter

from edge_reid.capture import av_reader
from edge_reid.capture.decoder import Decoder
from edge_reid.capture.decoder import main as decode
from edge_reid.capture.frame_slots import FrameSlots
from edge_reid.capture.picture_judge import PictureJudge
from edge_reid.capture.relay import Relay

FIGURES_BYTES = 4096
FOLDER = "PYTHON_STAGES"
"""The variable that names the folder: decoders are told only of those that begin so."""


def main() -> None:
    path = Path(os.environ[FOLDER]) / f"decoder-{os.getpid()}.json"
    path.write_bytes(b" " * FIGURES_BYTES)
    with path.open("r+b") as file:
        shared = mmap.mmap(file.fileno(), FIGURES_BYTES)
    meter = StageMeter()
    started_s = time.process_time()
    meter.wrap_generator(av_reader, "_packets", "take packets off the stream")
    meter.wrap(av_reader, "_decoded", "decode")
    meter.wrap(PictureJudge, "is_good", "judge the picture")
    meter.wrap(FrameSlots, "write", "copy into shared memory")
    meter.wrap(Relay, "_take", "relay")
    report = Decoder._report

    def metered(decoder: Decoder, *args: Any) -> None:
        with meter.stage("report"):
            report(decoder, *args)
        total_s = time.process_time() - started_s
        figures = dict(meter.cpu_s) | {"": total_s}
        shared[:] = json.dumps(figures).encode().ljust(FIGURES_BYTES)

    Decoder._report = metered  # type: ignore[method-assign]
    decode()


if __name__ == "__main__":
    main()
