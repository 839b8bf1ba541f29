"""From a folder of people to a named face in the crowd: every verb, each in its own process.

The people trained on are drawn: coat, trousers, hair, bag and stripes are theirs, while light,
position and noise change with every picture. Those enrolled are of the demo clip: a detector must
see them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import campus

pytestmark = [pytest.mark.trainer, pytest.mark.timeout(900)]
pytest.importorskip("tensorflow", reason="the converter is TensorFlow's")

from edge_reid.core.bundled_models import MOBILENET_EMBEDDING, shipped_model  # noqa: E402
from edge_reid.core.manifest import load_embedding_manifest  # noqa: E402
from edge_reid.matching.gallery_thresholds import GalleryThresholds  # noqa: E402

HEIGHT_PX, WIDTH_PX = 96, 48
TRAINED, STRANGERS = range(20), range(100, 130)
PICTURES = 8
ENROLLED = ("red-sleeves", "red-jacket", "bomber-jacket")
"""Unlike each other, also to a network of two epochs."""


def edge_reid(*words: str | Path) -> str:
    """What a verb prints."""
    done = subprocess.run(
        [sys.executable, "-m", "edge_reid", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def draw_person(person: int, shot: int) -> np.ndarray:
    """One picture (H, W, 3) BGR uint8; even and odd shots are two cameras."""
    looks, now = np.random.default_rng(person), np.random.default_rng([person, shot])
    coat, trousers, hair, bag = (tuple(map(int, looks.integers(0, 256, 3))) for _ in range(4))
    striped, carries = looks.random(2) < 0.5
    picture = np.full((HEIGHT_PX, WIDTH_PX, 3), 90 + 60 * (shot % 2), np.uint8)
    dx, dy = map(int, now.integers(-3, 4, 2))
    cv2.rectangle(picture, (14 + dx, 50 + dy), (33 + dx, 92 + dy), trousers, -1)
    cv2.rectangle(picture, (11 + dx, 20 + dy), (36 + dx, 54 + dy), coat, -1)
    if striped:
        for y in range(24, 54, 8):
            cv2.line(picture, (11 + dx, y + dy), (36 + dx, y + dy), trousers, 2)
    if carries:
        cv2.rectangle(picture, (33 + dx, 36 + dy), (42 + dx, 56 + dy), bag, -1)
    cv2.circle(picture, (24 + dx, 12 + dy), 7, (150, 180, 220), -1)
    cv2.ellipse(picture, (24 + dx, 9 + dy), (7, 5), 0, 180, 360, hair, -1)
    light = now.uniform(0.8, 1.2) * (1.0 if shot % 2 else 0.85)
    noisy = picture * light + now.normal(0, 6, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def draw_folder(folder: Path, people: range) -> Path:
    """A folder per person with a folder per camera inside."""
    for person in people:
        for shot in range(PICTURES):
            place = folder / f"person{person}" / f"camera{shot % 2}"
            place.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place / f"{shot}.png"), draw_person(person, shot))
    return folder


def test_from_a_folder_of_people_to_a_name(tmp_path: Path) -> None:
    run, model, gallery = (tmp_path / name for name in ("run", "mine.tflite", "people.db"))
    mine = draw_folder(tmp_path / "mine", TRAINED)
    strangers = draw_folder(tmp_path / "strangers", STRANGERS)

    small = ("--start", "mobilenet", "--size", "64x32", "--epochs", "2")
    said = edge_reid("train", mine, "--out", run, *small)
    assert "validation: on 4 people held out, 32 pictures" in said
    lines = [json.loads(line) for line in (run / "curves.jsonl").read_text().splitlines()]
    course = [line["softmax"] for line in lines if "softmax" in line]
    assert course[-1] < 0.8 * course[0]
    # At a third of its size it may well miss more people than the network it started from.
    printed = edge_reid("export", run, "--int8", "--budget", "5", "--allow-fewer", "--out", model)
    assert "not int8: none" in printed
    edge_reid("calibrate", model, strangers, "--force")  # 30 people, over what 200 have shown
    manifest = json.loads(model.with_suffix(".json").read_text())
    assert manifest["calibration"]["people"] == len(STRANGERS)
    shipped = load_embedding_manifest(shipped_model(MOBILENET_EMBEDDING))
    assert manifest["training_data"] == ["mine: terms not stated", *shipped.training_data]
    assert shipped.licence in manifest["licence"]

    edge_reid("gallery", "init", gallery, "--model", model)
    shared = ("--gallery", gallery, "--model", model)
    photos = campus.write_photos(campus.people(*ENROLLED), tmp_path / "photos")
    for name, (*enrolled, _) in photos.items():
        edge_reid("gallery", "enroll", name, *enrolled[:2], *shared)

    answers = {
        name: json.loads(edge_reid("probe", last, *shared, "--json"))
        for name, (*_, last) in photos.items()
    }
    best = {name: answer["candidates"][0]["identity"] for name, answer in answers.items()}
    assert best == {name: name for name in ENROLLED}
    # How far thresholds of 30 people reach is another matter: the answer must follow from them.
    thresholds = GalleryThresholds.of(load_embedding_manifest(model))
    threshold = thresholds.threshold(0.01, [2] * len(photos))
    for answer in answers.values():
        assert answer["threshold"] == pytest.approx(threshold)
        assert (answer["decision"] == "unknown") == (answer["similarity"] < threshold)
