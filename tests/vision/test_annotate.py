"""Drawing: boxes where the tracks are, in the colour of the decision; and videos one can read."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_reid.capture.open_source import open_source
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.errors import UsageError
from edge_reid.core.geometry import Box
from edge_reid.core.types import Candidate, Known, Track, Uncertain, Unknown
from edge_reid.vision.annotate import Label, VideoWriter, draw, draw_numbered, label_for

BLACK = np.zeros((240, 320, 3), np.uint8)


def track(box: Box, *, observed: bool = True) -> Track:
    return Track(7, box, 0.9, observed, 0.0, 1.0)


def drawn(box: Box, label: Label | None = None, *, observed: bool = True) -> np.ndarray:
    return draw(BLACK, [track(box, observed=observed)], {7: label} if label else {})


def test_the_picture_itself_is_not_touched() -> None:
    picture = BLACK.copy()
    draw(picture, [track(Box(50, 60, 90, 160))], {})
    assert not picture.any()


def test_a_box_is_drawn_where_the_track_is() -> None:
    canvas = drawn(Box(50, 60, 90, 160))
    assert canvas[110, 50].any()
    assert canvas[160, 70].any()
    assert not canvas[110, 70].any(), "the person stays visible"


def test_the_colour_tells_the_decision() -> None:
    colours = {
        kind: tuple(drawn(Box(50, 60, 90, 160), Label("x", kind))[110, 50])
        for kind in ("known", "unknown", "undecided")
    }
    assert len(set(colours.values())) == 3
    red, green, _ = (int(value) for value in colours["known"])
    assert green > red, "known is green, in RGB"


def test_a_box_that_is_only_predicted_is_thinner() -> None:
    box = Box(50, 60, 90, 160)
    assert (drawn(box, observed=False)[110] > 0).sum() < (drawn(box)[110] > 0).sum()


@pytest.mark.parametrize(
    "box", [Box(-40, -50, 20, 60), Box(300, 200, 400, 400), Box(900, 900, 950, 999)]
)
def test_the_caption_stays_in_the_picture(box: Box) -> None:
    """Its white letters are visible wherever the box is."""
    canvas = drawn(box, Label("red-sleeves 0.87", "known"))
    assert (canvas.min(axis=2) > 200).sum() > 100


def test_of_people_who_meet_every_label_can_be_read() -> None:
    """Who is known has theirs at the box; the others' are moved out of the way."""
    boxes = {1: Box(100, 100, 140, 200), 2: Box(110, 102, 150, 202), 3: Box(90, 98, 130, 198)}
    labels = {1: Label("unknown", "unknown"), 2: Label("ada 0.83", "known")}
    tracks = [Track(number, box, 0.9, True, 0.0, 1.0) for number, box in boxes.items()]
    canvas = draw(BLACK, tracks, labels)
    alone = {number: draw(BLACK, [track], labels) for number, track in enumerate(tracks, 1)}
    assert _letters(canvas) == sum(map(_letters, alone.values())), "none hides another"
    known = alone[2].min(axis=2) > 200
    assert (canvas.min(axis=2) > 200)[known].all(), "who is known has theirs at the box"
    assert (draw(BLACK, tracks[::-1], labels) == canvas).all()


def test_labels_at_the_top_of_the_picture_are_moved_down() -> None:
    boxes = [Box(100, 2, 140, 100), Box(104, 2, 144, 100)]
    tracks = [Track(number, box, 0.9, True, 0.0, 1.0) for number, box in enumerate(boxes, 1)]
    canvas = draw(BLACK, tracks, {})
    assert _letters(canvas) == sum(_letters(draw(BLACK, [track], {})) for track in tracks)


@pytest.mark.parametrize("size_px", [(240, 320), (3000, 4000), (2000, 500)])
def test_numbers_can_be_read_whatever_the_size_of_the_photo(size_px: tuple[int, int]) -> None:
    photo = np.zeros((*size_px, 3), np.uint8)
    height, width = size_px
    boxes = [
        Box(0.1 * width, 0.5 * height, 0.2 * width, 0.9 * height),
        Box(0.5 * width, 0.5 * height, 0.6 * width, 0.9 * height),
    ]
    canvas = draw_numbered(photo, boxes)
    assert max(canvas.shape) == 1280
    assert canvas.shape[0] / canvas.shape[1] == pytest.approx(height / width, rel=0.01)
    for box in boxes:
        scale = 1280 / max(size_px)
        above = canvas[: round(box.y1 * scale), round(box.x1 * scale) : round(box.x2 * scale)]
        assert _letters(above) > 40, "a number of 20 px stands above each box"
        middle = round(sum((box.y1, box.y2)) / 2 * scale)
        assert canvas[middle, round(box.x1 * scale)].any(), "its left edge"
    assert not photo.any()


def test_of_people_who_overlap_each_number_has_the_colour_of_its_box() -> None:
    boxes = [Box(100, 60, 140, 160), Box(110, 62, 150, 162), Box(90, 58, 130, 158)]
    first_two, all_three = draw_numbered(BLACK, boxes[:2]), draw_numbered(BLACK, boxes)
    assert _letters(first_two) < _letters(all_three), "none hides another"
    colours = {tuple(map(int, pixel)) for pixel in all_three.reshape(-1, 3)}
    assert {(0, 114, 178), (213, 94, 0), (0, 158, 115)} <= colours


def _letters(canvas: np.ndarray) -> int:
    """How many pixels are white."""
    return int((canvas.min(axis=2) > 200).sum())


def test_decisions_in_words() -> None:
    nobody = Uncertain(Candidate("ada", 0.4), 0.5, None, 1)
    assert label_for(Known("ada", 0.8342, 0.5, 0.1, 3)) == Label("ada 0.83", "known")
    assert label_for(Unknown(0.3, 0.5, 3)) == Label("unknown", "unknown")
    assert label_for(nobody) == Label("", "undecided")


@pytest.mark.parametrize(("name", "codec"), [("out.webm", "VP80"), ("out.mp4", "VP90")])
def test_a_written_video_can_be_read_back(
    tmp_path: Path, name: str, codec: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    red = np.zeros((48, 64, 3), np.uint8)
    red[:, :, 0] = 200
    with VideoWriter(path, 12.5, (64, 48)) as writer:
        for _ in range(5):
            writer.write(red)
        writer.write(BLACK)  # the camera was swapped for one of another size
    assert capfd.readouterr() == ("", ""), "OpenCV's warnings are kept from whoever runs it"
    with open_source(SourceSettings(uri=str(path))) as source:
        frames = [frame.image for frame in source]
        assert (source.fps, source.size_px) == (12.5, (64, 48))
    assert len(frames) == 6
    assert np.abs(frames[0][24, 32].astype(int) - [200, 0, 0]).max() < 12
    assert frames[5].max() < 30
    assert codec_of(path).upper() in (codec, "VP09"), "browsers play it"


def codec_of(path: Path) -> str:
    number = int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FOURCC))
    return number.to_bytes(4, "little").decode()


@pytest.mark.parametrize("name", ["out.avi", "out", "out.mp4.txt"])
def test_a_video_that_no_browser_plays_is_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"expected a name ending in \.webm or \.mp4, got"):
        VideoWriter(tmp_path / name, 10, (64, 48))
    assert not list(tmp_path.iterdir())


def test_a_video_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written; give a name in a folder that exists"):
        VideoWriter(tmp_path / "no such folder" / "out.webm", 10, (64, 48))
