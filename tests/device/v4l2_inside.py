"""What `v4l2_test.py` runs in its virtual machine: cameras of vivid, as the agent opens them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from edge_reid.capture.open_source import open_source
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.errors import SourceError

PATIENCE_S = 120.0
"""For a decoder to start in: the processor is emulated."""


def main() -> None:
    with camera():
        for uri in ("0", "/dev/video0"):
            pictures_come(uri)
        one_in_use_is_told()
    one_that_is_pulled_out_comes_back()
    print("v4l2: all well", flush=True)


@contextmanager
def camera() -> Iterator[None]:
    plug_in()
    yield
    pull_out()


def plug_in() -> None:
    module = next(Path("/tmp/modules").glob("*vivid.ko"))
    words = "n_devs=1", "node_types=0x1", "num_inputs=1", "input_types=0"
    subprocess.run(["insmod", str(module), *words], check=True)
    while not Path("/dev/video0").exists():
        time.sleep(0.1)


def pull_out() -> None:
    """Who has it open gets no more of it; the module leaves when they have let go."""
    subprocess.run(["v4l2-ctl", "-d", "0", "-c", "disconnect=1"], check=False)
    while subprocess.run(["rmmod", "vivid"], capture_output=True, check=False).returncode:
        time.sleep(0.5)


def settings(uri: str) -> SourceSettings:
    return SourceSettings(uri=uri, stall_timeout_s=PATIENCE_S)


def pictures_come(uri: str) -> None:
    before = time.time()
    with open_source(settings(uri)) as source:
        frames = list(islice(source, 20))
    height, width = frames[0].image.shape[:2]
    assert (width, height) == source.size_px
    assert len({frame.image.tobytes() for frame in frames}) > 1, "the pattern moves"
    assert np.ptp(frames[0].image.reshape(-1, 3), axis=0).min() > 100, "it has all colours"
    times = [frame.captured_utc_s for frame in frames]
    assert times == sorted(times)
    assert before < times[0]
    assert times[-1] <= time.time()
    print(f"v4l2: camera {uri} gives {width}×{height}", flush=True)


def one_in_use_is_told() -> None:
    words = ["v4l2-ctl", "-d", "0", "--stream-mmap", "--stream-to=/dev/null"]
    other = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(10)
    try:
        with pytest.raises(SourceError, match="no other program uses it"):
            open_source(settings("0"))
    finally:
        other.kill()
        other.wait()
    print("v4l2: a camera in use is told", flush=True)


def one_that_is_pulled_out_comes_back() -> None:
    plug_in()
    with open_source(settings("0")) as source:
        frames = iter(source)
        seen = [next(frames).index for _ in range(5)]
        pull_out()
        plug_in()
        while source.reopened < 1 or len(seen) < 20:
            seen.append(next(frames).index)
    pull_out()
    assert seen == sorted(set(seen)), "numbers go on after the gap"
    print("v4l2: pulled out and plugged in again, it goes on", flush=True)


if __name__ == "__main__":
    main()
