"""Pipelines of a real GStreamer, by Debian's OpenCV: that from PyPI has none.

Run where `apt install python3-opencv gstreamer1.0-plugins-base` has been, under Debian's Python or
another of the same version; elsewhere left out.
"""

from __future__ import annotations

import sysconfig
import time
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from edge_reid.capture.open_source import open_source
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.errors import SourceError

OPENCV = Path("/usr/lib/python3/dist-packages") / f"cv2{sysconfig.get_config_var('EXT_SUFFIX')}"
PICTURES = next(Path("/usr/lib").glob("*/gstreamer-1.0/libgstvideotestsrc.so"), None)
ORANGE_RGB = 0xF0, 0x80, 0x20
SOURCE = "videotestsrc is-live=true pattern=solid-color foreground-color=0xfff08020"
BGR = "video/x-raw,format=BGR,width=320,height=240,framerate=20/1"

pytestmark = pytest.mark.skipif(
    not OPENCV.exists() or PICTURES is None or int(np.__version__.split(".")[0]) > 1,
    reason="Debian's OpenCV (built for NumPy 1) and its GStreamer are not installed",
)


@pytest.fixture(autouse=True)
def debians_opencv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In processes that decode; this one keeps its own."""
    (tmp_path / OPENCV.name).symlink_to(OPENCV)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")


def settings(pipeline: str, stall_timeout_s: float = 5.0) -> SourceSettings:
    return SourceSettings(uri=pipeline, stall_timeout_s=stall_timeout_s)


def test_a_pipeline_gives_its_pictures_in_their_colours() -> None:
    before = time.time()
    with open_source(settings(f"{SOURCE} ! {BGR} ! appsink")) as source:
        frames = list(islice(source, 5))
    assert (source.is_live, source.size_px) == (True, (320, 240))
    for frame in frames:
        assert frame.image.reshape(-1, 3).mean(axis=0) == pytest.approx(ORANGE_RGB, abs=1)
    times = [frame.captured_utc_s for frame in frames]
    assert times == sorted(times)
    assert before < times[0] < times[-1] <= time.time()


def test_who_is_slow_gets_the_newest_picture() -> None:
    with open_source(settings(f"{SOURCE} ! {BGR} ! appsink")) as source:
        frames = []
        for frame in islice(source, 4):
            frames.append(frame)
            time.sleep(0.5)
    steps_s = [later.captured_utc_s - frame.captured_utc_s for frame, later in pairwise(frames)]
    assert sum(steps_s) == pytest.approx(1.5, abs=0.4)
    assert source.dropped >= 3 * 5


def test_a_pipeline_that_ends_is_started_again() -> None:
    with open_source(settings(f"{SOURCE} num-buffers=20 ! {BGR} ! appsink")) as source:
        indices = [frame.index for frame in islice(source, 30)]
    assert source.reopened >= 1
    assert indices == sorted(set(indices)), "numbers go on after the gap"


@pytest.mark.parametrize(
    "pipeline",
    [
        "nosuchelement ! videoconvert ! appsink",
        "videotestsrc is-live=true ! fakesink",
        "v4l2src device=/dev/video63 ! videoconvert ! appsink",
        f"{SOURCE} ! {BGR} ! valve drop=true ! appsink",
    ],
    ids=["unknown element", "no appsink", "no such camera", "nothing comes"],
)
def test_one_that_gives_nothing_says_how_to_find_out(pipeline: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(settings(pipeline, stall_timeout_s=3.0))
    assert str(caught.value) == (
        "pipeline: expected pictures, none came; check the pipeline with gst-launch-1.0, and that "
        "it ends with appsink"
    )


@pytest.mark.parametrize("colours", ["I420", "GRAY8", "GRAY16_LE"])
def test_pictures_in_other_colours_are_refused_not_misread(colours: str) -> None:
    pipeline = f"{SOURCE} ! {BGR.replace('BGR', colours)} ! appsink"
    with pytest.raises(SourceError) as caught:
        open_source(settings(pipeline))
    said = str(caught.value)
    assert said.startswith("pipeline: expected pictures of 3 channels of uint8 (BGR), got uint")
    assert said.endswith("ends with: videoconvert ! video/x-raw,format=BGR ! appsink")
