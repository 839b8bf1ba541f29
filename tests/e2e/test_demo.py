"""`make demo` does the main job and leaves what it promises."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from support import campus
from support.page_agent import PageClient

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SCRIPT = Path(__file__).parents[1] / "demo" / "demo.py"


def test_with_a_page_it_stays_until_it_is_interrupted(tmp_path: Path) -> None:
    """Of `make demo-live` what comes after the demo."""
    photos = campus.write_photos(campus.people("brown-jacket"), tmp_path, campus.ENROLLED_BEFORE)
    gallery = tmp_path / "gallery.db"
    for words in (
        ("init", gallery),
        ("enroll", "brown-jacket", *photos["brown-jacket"], "--gallery", gallery),
    ):
        verb = [sys.executable, "-m", "edge_reid", "gallery", *map(str, words)]
        subprocess.run(verb, check=True, capture_output=True)
    stay = "import sys; from pathlib import Path; from demo import stay_live; "
    stay += "stay_live(Path(sys.argv[1]), Path(sys.argv[2]), '127.0.0.1:0')"
    path = os.pathsep.join(map(str, (SCRIPT.parent, SCRIPT.parents[1])))
    process = subprocess.Popen(
        [sys.executable, "-c", stay, str(gallery), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((path, os.environ.get("PYTHONPATH", "")))},
    )
    try:
        said = next(line for line in process.stdout or () if "shows it" in line)
        client = PageClient(said.split()[0])
        named = (hit["identity"] for hits in client.events("hits") for hit in hits)
        assert "brown-jacket" in named
        status = next(client.events("status"))
        assert status["device"]["broker"] == "online"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()


@pytest.mark.soak  # `make demo`, which CI runs, checks the same of itself
def test_hits_reach_the_subscriber_and_the_pictures_are_there(tmp_path):
    path = os.pathsep.join((str(SCRIPT.parents[1]), os.environ.get("PYTHONPATH", "")))
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
        env=os.environ | {"PYTHONPATH": path, "COLUMNS": "100"},
    )
    assert done.returncode == 0, done.stderr
    assert "hits, as a separate subscriber receives them" in done.stdout
    assert f"{campus.FRAMES} in" in done.stdout
    sheet = cv2.imread(str(tmp_path / "contact_sheet.png"))
    assert sheet is not None
    video = cv2.VideoCapture(str(tmp_path / "annotated.webm"))
    assert sum(1 for _ in iter(video.grab, False)) == campus.FRAMES
