from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support import campus

from edge_reid.agent.source_digest import source_digest


def test_recordings_are_told_apart_by_what_is_in_them_and_not_by_their_names(
    short_clip: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "another name.mp4"
    shutil.copy(short_clip, elsewhere)
    assert source_digest(str(elsewhere)) == source_digest(str(short_clip)) != ""
    assert source_digest(str(campus.CLIP)) != source_digest(str(short_clip))


@pytest.mark.parametrize("uri", ["0", "/dev/video0", "rtsp://user:secret@camera/stream"])
def test_what_is_live_has_none(uri: str) -> None:
    assert source_digest(uri) == ""
