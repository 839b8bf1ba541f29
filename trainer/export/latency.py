"""How long one crop takes on this machine, by the device's own code."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_reid.core.types import Image
from edge_reid.vision.embed import Embedder

_RUNS = 100
_WARM_UP = 10


@dataclass(frozen=True, slots=True)
class Latency:
    """Median time of one crop on one thread, from decoded picture to embedding."""

    median_ms: float
    runtime: str
    processor: str

    def __str__(self) -> str:
        return (
            f"{self.median_ms:.2f} ms a crop: median of {_RUNS}, one thread, {self.runtime}, "
            f"{self.processor}"
        )


def measure_latency(model: Path, crop: Image) -> Latency:
    """Time a `.tflite` with its manifest on a crop (H, W, 3) RGB uint8."""
    embedder = Embedder(model, threads=1)
    times_ms = []
    for run in range(_WARM_UP + _RUNS):
        start_s = time.perf_counter()
        embedder.embed([crop])
        if run >= _WARM_UP:
            times_ms.append(1e3 * (time.perf_counter() - start_s))
    return Latency(float(np.median(times_ms)), embedder.runtime, _processor())


def _processor() -> str:
    """The name of this machine's processor and how many cores it has."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"
