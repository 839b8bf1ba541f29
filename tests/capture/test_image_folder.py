"""A folder of images is read as a file is: every one, in order, the same each time."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_reid.agent.source_digest import source_digest
from edge_reid.capture.image_folder import images_in
from edge_reid.capture.open_source import open_source
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.errors import SourceError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pictures, each redder than the one before, and something else."""
    for number in range(1, 13):
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[:, :, 2] = 20 * number
        cv2.imwrite(str(tmp_path / f"shot-{number}.png"), picture)
    (tmp_path / "notes.txt").write_text("of the installer")
    return tmp_path


def test_images_come_by_their_numbers_at_the_rate_given(folder: Path) -> None:
    settings = SourceSettings(uri=str(folder), image_rate_hz=4, start_time="2026-01-02T03:04:05Z")
    with open_source(settings) as source:
        assert (source.fps, source.size_px, source.frames_expected) == (4, (64, 48), 12)
        assert (source.is_live, source.fault) == (False, None)
        frames = list(source)
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [20 * n for n in range(1, 13)]
    assert [frame.captured_utc_s for frame in frames] == [1767323045 + n / 4 for n in range(12)]


def test_an_image_that_is_none_is_named(folder: Path) -> None:
    (folder / "shot-3.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    frames = iter(open_source(SourceSettings(uri=str(folder))))
    assert (next(frames).index, next(frames).index) == (0, 1)
    with pytest.raises(SourceError, match=r"shot-3\.png: expected a picture"):
        next(frames)


def test_two_folders_are_two_recordings(folder: Path, tmp_path: Path) -> None:
    before = source_digest(str(folder))
    (folder / "shot-12.png").unlink()
    assert len({before, source_digest(str(folder)), ""}) == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_said(folder: Path) -> None:
    folder.chmod(0o300)
    with pytest.raises(SourceError, match="cannot be read: Permission denied; let the agent's"):
        open_source(SourceSettings(uri=str(folder)))


def test_a_folder_that_goes_away_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="gone: cannot be read: No such file or directory"):
        images_in(tmp_path / "gone")
