"""What whole agents are run on."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from support import campus

from edge_reid.cli.main import main
from edge_reid.core.opencv import to_rgb
from edge_reid.core.types import Image


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """Nobody is enrolled."""
    path = tmp_path / "gallery.db"
    with pytest.raises(SystemExit, match="0"):
        main(["gallery", "init", str(path)])
    return path


@pytest.fixture(scope="session")
def crowd() -> tuple[Image, ...]:
    """Eight seconds in which people walk through the picture."""
    capture = cv2.VideoCapture(str(campus.CLIP))
    capture.set(cv2.CAP_PROP_POS_FRAMES, 80)
    pictures = tuple(to_rgb(capture.read()[1]) for _ in range(80))
    capture.release()
    return pictures
