"""Pictures on the box: whole, few, and nobody else's business."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_reid.agent.kept_pictures import PictureFolder
from edge_reid.core.errors import PhotoError
from edge_reid.core.types import Frame

RED = np.zeros((48, 64, 3), np.uint8)
RED[..., 0] = 200


def frame(number: int) -> Frame:
    return Frame(RED, number, 1_772_366_400.25 + number)


def album(folder: Path, *, max_files: int = 100, max_bytes: int = 1 << 20) -> PictureFolder:
    return PictureFolder(folder, max_files=max_files, max_bytes=max_bytes)


def test_a_frame_is_kept_under_its_time_in_its_colours(tmp_path: Path) -> None:
    kept = album(tmp_path / "new" / "album").keep(frame(0), "gate")
    assert kept.path == tmp_path / "new" / "album" / "gate-20260301T120000.250Z.jpg"
    body = kept.path.read_bytes()
    assert (kept.size_bytes, kept.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    blue, green, red = cv2.imread(str(kept.path))[24, 32]
    assert red > 190
    assert max(blue, green) < 10


def test_only_its_owner_may_look(tmp_path: Path) -> None:
    kept = album(tmp_path / "album").keep(frame(0), "gate")
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.path.parent.stat().st_mode) == 0o700


def test_beyond_a_number_the_oldest_go(tmp_path: Path) -> None:
    ours = album(tmp_path, max_files=3)
    for number in range(5):
        ours.keep(frame(number), "gate")
        time.sleep(0.01)
    assert sorted(it.name[18:20] for it in tmp_path.iterdir()) == ["02", "03", "04"]


def test_beyond_a_size_the_oldest_go_and_the_newest_stays(tmp_path: Path) -> None:
    size_bytes = album(tmp_path).keep(frame(0), "gate").size_bytes
    ours = album(tmp_path, max_bytes=2 * size_bytes + 1)
    for number in (1, 2):
        time.sleep(0.01)
        ours.keep(frame(number), "gate")
    assert sorted(it.name[18:20] for it in tmp_path.iterdir()) == ["01", "02"]


@pytest.mark.parametrize(
    "name",
    [".gate-20260301T115900.250Z.jpg.731.part", "gate-20260301T115900.250Z.jpg.part"],
)
def test_what_a_power_cut_left_half_written_counts_and_goes(tmp_path: Path, name: str) -> None:
    half = tmp_path / name
    half.write_bytes(b"half a picture")
    os.utime(half, (0, 0))
    album(tmp_path, max_files=1).keep(frame(0), "gate")
    assert [it.name for it in tmp_path.iterdir()] == ["gate-20260301T120000.250Z.jpg"]


def test_what_others_keep_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"sun")
    os.utime(tmp_path / "holiday.jpg", (0, 0))
    ours = album(tmp_path, max_files=1)
    ours.keep(frame(0), "gate")
    ours.keep(frame(1), "gate")
    assert sorted(it.name for it in tmp_path.iterdir()) == [
        "gate-20260301T120001.250Z.jpg",
        "holiday.jpg",
    ]


def test_a_picture_larger_than_all_may_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="expected at most 100 bytes, got"):
        album(tmp_path, max_bytes=100).keep(frame(0), "gate")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PhotoError, match="cannot be written: .*; make room, or give another"):
        album(tmp_path / "file" / "album").keep(frame(0), "gate")
