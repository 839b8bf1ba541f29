"""Frames are taken out of videos, pictures and folders; what is none of them is told."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.campus import CLIP, read_frames

from edge_reid.core.errors import TrainingError
from trainer.detector.frames import read_frames as frames_of


def test_frames_of_a_video_are_taken_at_equal_distances() -> None:
    found = frames_of([CLIP], 3)
    wanted = read_frames({0, 265, 530})
    assert len(found) == 3
    for frame, number in zip(found, sorted(wanted), strict=True):
        assert np.array_equal(frame, wanted[number])


def test_pictures_are_taken_alone_and_out_of_folders(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    for number in range(5):
        grey = np.full((20, 30, 3), 40 * number, np.uint8)
        cv2.imwrite(str(tmp_path / "deeper" / f"{number}.png"), grey)
    assert [frame[0, 0, 0] for frame in frames_of([tmp_path], 9)] == [0, 40, 80, 120, 160]
    assert [frame[0, 0, 0] for frame in frames_of([tmp_path], 2)] == [0, 120]
    assert len(frames_of([tmp_path / "deeper" / "1.png"], 9)) == 1


def test_what_has_no_frames_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    with pytest.raises(TrainingError, match="expected a video, a picture or a folder"):
        frames_of([tmp_path / "notes.txt"], 9)
    with pytest.raises(TrainingError, match="expected pictures in it, got none"):
        frames_of([tmp_path], 9)
