"""Where the film of a run may go."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_reid.agent.annotated_film import check_films
from edge_reid.core.errors import UsageError


def test_the_video_that_is_watched_is_not_overwritten(tmp_path: Path) -> None:
    video, film = tmp_path / "clip.mp4", tmp_path / "film.webm"
    video.write_bytes(b"a video")
    (tmp_path / "link.mp4").symlink_to(video)
    check_films([film], [str(video), "rtsp://camera/1", "0"])
    with pytest.raises(UsageError, match="expected another file than the video that is watched"):
        check_films([film, tmp_path / "link.mp4"], [str(video)])
