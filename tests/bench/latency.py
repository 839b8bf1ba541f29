"""How long one crop, one frame and one `--help` take on this machine.

    python tests/bench/latency.py

Medians, one thread, after a warm-up; the ratio of two rows says more than a row, since machines
are shared and clocks vary.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from edge_reid.core.bundled_models import DETECTOR, EMBEDDING, SMALLER_EMBEDDING, shipped_model
from edge_reid.diagnostics.benchmark import describe_machine
from edge_reid.vision.detect import load_detector
from edge_reid.vision.embed import Embedder
from edge_reid.vision.runtime import available_runtimes

CLIP = Path(__file__).parents[1] / "data" / "campus.mp4"
LIMITS_MS = {"embed a crop (litert)": 8.0, "edge-reid --help": 300.0}


def main() -> None:
    frame = cv2.cvtColor(cv2.VideoCapture(str(CLIP)).read()[1], cv2.COLOR_BGR2RGB)
    crop = np.ascontiguousarray(frame[200:300, 300:350])
    rows: dict[str, float] = {}
    for runtime in available_runtimes():
        embedder = Embedder(shipped_model(EMBEDDING), runtime=runtime, threads=1)
        rows[f"embed a crop ({runtime})"] = median_ms(lambda e=embedder: e.embed([crop]), 200)
        smaller = Embedder(shipped_model(SMALLER_EMBEDDING), runtime=runtime, threads=1)
        rows[f"… smaller ({runtime})"] = median_ms(lambda e=smaller: e.embed([crop]), 200)
        detector = load_detector(shipped_model(DETECTOR), runtime=runtime, threads=1)
        rows[f"detect in a frame ({runtime})"] = median_ms(lambda d=detector: d.detect(frame), 40)
    rows["edge-reid --help"] = median_ms(show_help, 15)
    print(describe_machine())
    for name, took_ms in rows.items():
        limit = LIMITS_MS.get(name)
        print(f"{name:<36}{took_ms:8.1f} ms" + (f"   (limit {limit:g})" if limit else ""))


def median_ms(call: Callable[[], object], times: int) -> float:
    for _ in range(max(3, times // 10)):
        call()
    durations = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        durations.append((time.perf_counter() - start) * 1e3)
    return float(np.median(durations))


def show_help() -> None:
    command = [sys.executable, "-m", "edge_reid", "--help"]
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    main()
