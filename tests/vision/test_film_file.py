"""What is a film of ours, and what is another's video, by the bytes of the file."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import campus

from edge_reid.vision.annotate import VideoWriter
from edge_reid.vision.film_file import is_film

A_BUFFER = 1 << 12
"""Far more than an MP4 has before its first picture."""
NOISE = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)


def judged(path: Path) -> bool:
    with path.open("rb") as file:
        return is_film(file)


@pytest.mark.parametrize("name", ["film.webm", "film.mp4"])
def test_what_we_write(tmp_path: Path, name: str) -> None:
    with VideoWriter(tmp_path / name, 10, (64, 48)) as writer:
        writer.write(NOISE)
    assert judged(tmp_path / name)


@pytest.mark.parametrize("name", ["film.webm", "film.mp4"])
def test_what_we_wrote_when_we_were_killed(tmp_path: Path, name: str) -> None:
    """Else a service that was killed would not start again."""
    child = os.fork()
    if child == 0:
        try:
            writer = VideoWriter(tmp_path / name, 10, (320, 240))
            for _ in range(100):  # until the first of them are on the disk
                writer.write(NOISE)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert not cv2.VideoCapture(str(tmp_path / name)).isOpened() or name == "film.webm"
    assert judged(tmp_path / name)


@pytest.mark.parametrize("name", ["film.webm", "film.mp4"])
def test_what_we_wrote_when_no_picture_came(tmp_path: Path, name: str) -> None:
    """Else an agent that was stopped at once would not start again."""
    VideoWriter(tmp_path / name, 10, (64, 48)).close()
    assert judged(tmp_path / name)


def test_a_recording_that_has_not_ended_is_none(tmp_path: Path) -> None:
    """Such as what `ffmpeg -c copy` writes of a camera: its codec is said at its end only."""
    path = tmp_path / "recording.mp4"
    with av.open(str(path), "w") as recording:
        stream = recording.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.gop_size = 1
        picture = av.VideoFrame.from_ndarray(NOISE, format="rgb24").reformat(format="yuv420p")
        while not path.exists() or path.stat().st_size < A_BUFFER:
            recording.mux(stream.encode(picture))
        so_far = path.read_bytes()
    assert b"moov" not in so_far
    assert not is_film(io.BytesIO(so_far))


def test_a_clip_of_a_camera_is_none() -> None:
    assert not judged(campus.CLIP)


@pytest.mark.parametrize(
    ("name", "codec"), [("x.mp4", "mp4v"), ("x.webm", "VP90"), ("x.mkv", "MJPG")]
)
def test_another_codec_is_none(tmp_path: Path, name: str, codec: str) -> None:
    path = tmp_path / name
    fourcc = cv2.VideoWriter.fourcc(*codec)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, 10, (64, 48))
    for _ in range(3):
        writer.write(NOISE)
    writer.release()
    assert path.stat().st_size
    assert not judged(path)


MP4 = b"\0\0\0\x08ftyp"


@pytest.mark.parametrize(
    "content",
    [
        b"hello",
        *(MP4, MP4 + b"\0\0\0\x01mdat", MP4 + b"\0\0\0\x01mdat" + b"\xff" * 8),
        *(MP4 + b"\0\0\0\x02free", MP4 + b"\xff\xff\xff\xffmoovvp09", b"\x1a\x45\xdf\xa3"),
    ],
)
def test_what_is_no_video_is_none(content: bytes) -> None:
    assert not is_film(io.BytesIO(content))


@given(st.binary(max_size=64))
def test_any_bytes_have_an_answer(content: bytes) -> None:
    kinds = (b"mdat", b"moov", b"vp09")
    assert not is_film(io.BytesIO(MP4 + content)) or any(kind in content for kind in kinds)
