"""Where the film of a run may go."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from support import campus

from edge_reid.agent.annotated_film import check_films
from edge_reid.core.errors import UsageError
from edge_reid.vision.annotate import VideoWriter


def test_the_video_that_is_watched_is_not_overwritten(tmp_path: Path) -> None:
    video, film = tmp_path / "clip.mp4", tmp_path / "film.webm"
    video.write_bytes(b"a video")
    (tmp_path / "link.mp4").symlink_to(video)
    check_films([film], [str(video), "rtsp://camera/1", "0"])
    with pytest.raises(UsageError, match="expected another file than the video that is watched"):
        check_films([film, tmp_path / "link.mp4"], [str(video)])


def test_a_film_takes_the_place_of_an_older_one_and_of_no_other_video(tmp_path: Path) -> None:
    film = tmp_path / "film.webm"
    with VideoWriter(film, 10, (64, 48)) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
    check_films([film], ["0"])
    for other in (campus.CLIP, Path(__file__)):
        with pytest.raises(UsageError, match="expected an older film of --annotate or no file"):
            check_films([film, other], ["0"])


def test_a_film_may_be_watched_through_a_pipe(tmp_path: Path) -> None:
    """Nothing is lost: a film is written into what is there, not put in its place."""
    pipe = tmp_path / "film.webm"
    os.mkfifo(pipe)
    check_films([pipe], ["0"])
    assert pipe.is_fifo()


def test_a_name_that_cannot_be_is_refused_in_one_line(tmp_path: Path) -> None:
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"a video")
    film = tmp_path / f"{'x' * 300}.webm"
    with pytest.raises(UsageError, match="cannot be written: File name too long"):
        check_films([film], [str(video)])
