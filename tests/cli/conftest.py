"""Photos cut from the clip; the command line, run in this process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.in_process import edge_reid  # noqa: F401 - a fixture

DATA = Path(__file__).parents[1] / "data"


@dataclass(frozen=True)
class Sample:
    """A person in a frame of the clip, as a scene and as a crop."""

    scene: Path
    box: str
    """As `--box` takes it."""
    crop: Path


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Sample]]:
    """Two enrolment photos each of three of the clip's people, by name."""
    folder = tmp_path_factory.mktemp("samples")
    truth = json.loads((DATA / "campus.json").read_text(encoding="utf-8"))
    return {
        person["identity"]: [
            _sample(each["frame"], each["box"], folder / f"{person['identity']}-{number}")
            for number, each in enumerate(person["enrol"][:2])
        ]
        for person in truth["people"][:3]
    }


def _sample(frame_index: int, box: list[float], stem: Path) -> Sample:
    capture = cv2.VideoCapture(str(DATA / "campus.mp4"))
    capture.set(cv2.CAP_PROP_POS_FRAMES, frame_index)
    frame = capture.read()[1]
    x1, y1, x2, y2 = (round(edge) for edge in box)
    scene, crop = Path(f"{stem}-scene.png"), Path(f"{stem}.png")
    cv2.imwrite(str(scene), frame)
    cv2.imwrite(str(crop), frame[y1:y2, x1:x2])
    return Sample(scene, f"{x1},{y1},{x2},{y2}", crop)


@pytest.fixture(scope="session")
def wall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo with nobody in it."""
    path = tmp_path_factory.mktemp("wall") / "wall.png"
    cv2.imwrite(str(path), np.full((480, 640, 3), 128, np.uint8))
    return path
