"""Video files: every frame at its time; and each way a file can be bad is one clear line."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import campus

from edge_reid.capture.open_source import open_source
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.errors import SourceError
from edge_reid.core.types import Frame

FRAMES, FPS, SIZE = 40, 8.0, (64, 48)


def brightness(index: int) -> int:
    return 20 + 5 * index


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty frames, each a little brighter, red left and blue right."""
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, SIZE)
    for index in range(FRAMES):
        picture = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        picture[:, : SIZE[0] // 2, 2] = brightness(index)
        picture[:, SIZE[0] // 2 :, 0] = brightness(index)
        writer.write(picture)
    writer.release()
    return path


def read(path: Path, **settings: object) -> list[Frame]:
    with open_source(SourceSettings(uri=str(path), **settings)) as source:
        return list(source)


def test_a_file_gives_every_frame_in_order_as_rgb(clip: Path) -> None:
    frames = read(clip)
    assert [frame.index for frame in frames] == list(range(FRAMES))
    for frame in frames:
        left, right = frame.image[24, 10].astype(int), frame.image[24, 54].astype(int)
        assert np.abs(left - [brightness(frame.index), 0, 0]).max() < 12
        assert np.abs(right - [0, 0, brightness(frame.index)]).max() < 12


def test_a_file_says_what_it_is(clip: Path) -> None:
    with open_source(SourceSettings(uri=str(clip))) as source:
        assert (source.fps, source.size_px, source.frames_expected) == (FPS, SIZE, FRAMES)
        assert (source.is_live, source.dropped) == (False, 0)


def test_time_is_the_video_clock_from_the_start_time_on(clip: Path) -> None:
    times = [frame.captured_utc_s for frame in read(clip, start_time="2026-01-02T03:04:05Z")]
    expected = [1767323045 + index / FPS for index in range(FRAMES)]
    assert times == pytest.approx(expected, abs=1e-5)
    assert times == [
        frame.captured_utc_s for frame in read(clip, start_time="2026-01-02T03:04:05Z")
    ]


def test_without_a_start_time_a_file_begins_at_zero(clip: Path) -> None:
    assert read(clip)[0].captured_utc_s == 0.0


def test_a_file_without_a_clock_goes_by_its_frame_rate(tmp_path: Path) -> None:
    """A bare stream of pictures has no time stamps at all."""
    path = tmp_path / "bare.mjpeg"
    pictures = [np.full((48, 64, 3), shade, np.uint8) for shade in (10, 100, 200)]
    path.write_bytes(b"".join(cv2.imencode(".jpg", each)[1].tobytes() for each in pictures))
    frames = read(path)
    assert len(frames) == 3
    steps = np.diff([frame.captured_utc_s for frame in frames])
    assert steps == pytest.approx(1 / 25)


def test_the_campus_clip_is_whole() -> None:
    with open_source(SourceSettings(uri=str(campus.CLIP))) as source:
        assert (source.frames_expected, source.fps) == (campus.FRAMES, campus.FPS)
        last = max(source, key=lambda frame: frame.index)
    assert (last.index, last.captured_utc_s) == (campus.FRAMES - 1, 79.4)


def complaint(path: Path) -> str:
    """What is said about a file that cannot be opened."""
    with pytest.raises(SourceError) as caught:
        open_source(SourceSettings(uri=str(path)))
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_a_missing_file(tmp_path: Path) -> None:
    assert "no such file" in complaint(tmp_path / "nothing.mp4")


def test_a_folder(tmp_path: Path) -> None:
    assert "found none; name a folder of images, or a video file" in complaint(tmp_path)


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    assert "empty" in complaint(path)


@pytest.mark.parametrize("content", [b"hello, I am a text\n" * 500, bytes(range(256)) * 200])
def test_something_that_is_no_video(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.mp4"
    path.write_bytes(content)
    assert "expected a video" in complaint(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("noise.bin", np.random.default_rng(1).bytes(40_000)),
        ("blank.bin", bytes(64_000)),
        ("readme.txt", b"hello, I am a text\n" * 500),
        ("logo.ans", b"\x1b[1;31mhello\r\n" * 500),
    ],
)
def test_what_ffmpeg_draws_as_text_is_no_video(tmp_path: Path, name: str, content: bytes) -> None:
    """By the file's name it takes random bytes for such a text, of one picture or of many."""
    path = tmp_path / name
    path.write_bytes(content)
    assert "expected a video, this is none" in complaint(path)


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{clip}\n#EXT-X-ENDLIST\n",
        "\ufeff\nffconcat version 1.0\nfile {clip}\n",
    ],
)
def test_a_list_that_is_called_a_video_plays_no_other_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "secret.mp4").write_bytes(campus.CLIP.read_bytes())
    path = tmp_path / "mine.mp4"
    path.write_text(text.format(clip="secret.mp4"), encoding="utf-8")
    assert "expected a video, this is a list of others" in complaint(path)


def test_pictures_that_are_not_compressed_are_a_video(tmp_path: Path) -> None:
    path = tmp_path / "raw.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"I420"), FPS, SIZE)
    for _ in range(3):
        writer.write(np.full((SIZE[1], SIZE[0], 3), 90, np.uint8))
    writer.release()
    assert len(read(path)) == 3


def test_a_file_cut_off_before_its_index(clip: Path, tmp_path: Path) -> None:
    """This clip keeps its index at the end, as cameras write it: half of it is no video."""
    path = tmp_path / "half.mp4"
    path.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    assert "cut off" in complaint(path)


def test_a_file_cut_off_after_its_index(tmp_path: Path) -> None:
    """The campus clip has its index first: the file opens, but nothing is behind it."""
    path = tmp_path / "head.mp4"
    path.write_bytes(campus.CLIP.read_bytes()[:12_000])
    assert "no frame can be decoded" in complaint(path)


@pytest.fixture(params=["cut off", "overwritten"])
def broken_clip(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A clip whose stream breaks some way in."""
    content = bytearray(campus.CLIP.read_bytes())
    if request.param == "cut off":
        del content[300_000:]
    else:
        content[300_000:600_000] = bytes(300_000)
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    return path


def test_a_stream_that_breaks_half_way_gives_what_is_there_first(broken_clip: Path) -> None:
    indices: list[int] = []
    source = open_source(SourceSettings(uri=str(broken_clip)))
    with source, pytest.raises(SourceError) as caught:
        indices.extend(frame.index for frame in source)
    assert indices == list(range(len(indices)))
    assert len(indices) > 20
    assert f"broke off after frame {indices[-1]}, expected 795 frames" in str(caught.value)


def test_opencv_says_nothing_on_its_own(broken_clip: Path) -> None:
    """In a fresh process: FFmpeg reads how loud it may be once, at its first video."""
    script = """
import sys
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.errors import SourceError
from edge_reid.capture.open_source import open_source
try:
    for frame in open_source(SourceSettings(uri=sys.argv[1])): pass
except SourceError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(broken_clip)], capture_output=True, text=True, check=True
    )
    assert "broke off" in done.stdout
    assert done.stderr == ""
