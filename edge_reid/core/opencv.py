"""What every use of OpenCV's video capture here has in common."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_reid.core.types import Image

DEFAULT_FPS = 25.0
_MAX_FPS = 1000.0
"""Some streams report their clock rate (90,000) as their frame rate."""


def quiet_opencv() -> None:
    """Stop OpenCV and FFmpeg from writing to stderr what our errors say better.

    Takes effect for FFmpeg if called before the first video is opened. Who wants to read it sets
    OPENCV_LOG_LEVEL and OPENCV_FFMPEG_LOGLEVEL.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
    if "OPENCV_LOG_LEVEL" in os.environ:
        return
    opencv: Any = cv2  # where the level is set depends on the version
    if hasattr(opencv, "setLogLevel"):  # until 4.13
        opencv.setLogLevel(0)
    else:
        opencv.utils.logging.setLogLevel(opencv.utils.logging.LOG_LEVEL_SILENT)


def one_thread_each() -> None:
    """Have OpenCV compute in the thread that calls; its own would take from other threads of ours,
    which keep the cores busy, as they spin while they wait for work.
    """
    cv2.setNumThreads(1)


@contextmanager
def mute_stderr() -> Iterator[None]:
    """Keep from the process's stderr what OpenCV writes past every setting; for a moment only."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def frame_rate(capture: cv2.VideoCapture) -> float:
    """Frames per second as reported, or 25 where that is no frame rate."""
    fps = capture.get(cv2.CAP_PROP_FPS)
    return fps if 0 < fps <= _MAX_FPS else DEFAULT_FPS


def to_rgb(picture: Any) -> Image:
    """OpenCV's BGR uint8 (H, W, 3) as our RGB."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
