"""`make demo` does the main job and leaves what it promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from support import campus

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SCRIPT = Path(__file__).parents[1] / "demo" / "demo.py"


def test_hits_reach_the_subscriber_and_the_pictures_are_there(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
        env=os.environ | {"PYTHONPATH": str(SCRIPT.parents[1]), "COLUMNS": "100"},
    )
    assert done.returncode == 0, done.stderr
    assert "hits, as a separate subscriber receives them" in done.stdout
    assert f"{campus.FRAMES} in" in done.stdout
    sheet = cv2.imread(str(tmp_path / "contact_sheet.png"))
    assert sheet is not None
    video = cv2.VideoCapture(str(tmp_path / "annotated.webm"))
    assert sum(1 for _ in iter(video.grab, False)) == campus.FRAMES
