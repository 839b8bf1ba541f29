"""The SSD family: anchors where the network puts them, and the shipped one on real CCTV."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import campus

from edge_reid.core.bundled_models import DETECTOR, shipped_model
from edge_reid.core.errors import ModelError
from edge_reid.core.geometry import Box, iou
from edge_reid.core.manifest import DetectorManifest, load_detector_manifest, write_manifest
from edge_reid.vision.detect import load_detector
from edge_reid.vision.detectors.ssd_family import AnchorLevel, anchor_boxes, ssd_boxes

MODEL = shipped_model("person_detection_0201_384x384.tflite")
SIDE_PX = 384
CELLS_AND_SIZES = (24 * 24 * 4, 12 * 12 * 5)


def levels() -> list[AnchorLevel]:
    settings = load_detector_manifest(MODEL).decoder_settings
    return [AnchorLevel.model_validate(level) for level in settings["anchors"]]


def test_anchors_come_level_by_level_row_by_row_smallest_first() -> None:
    anchors = anchor_boxes(SIDE_PX, SIDE_PX, levels())
    assert len(anchors) == sum(CELLS_AND_SIZES)
    assert anchors[0] == pytest.approx([8, 8, 5.91812, 19.3253])
    assert anchors[4] == pytest.approx([24, 8, 5.91812, 19.3253])
    assert anchors[4 * 24] == pytest.approx([8, 24, 5.91812, 19.3253])
    assert anchors[CELLS_AND_SIZES[0]] == pytest.approx([16, 16, 30.3206, 115.538])
    assert anchors[-1] == pytest.approx([368, 368, 83.0841, 321.157])


def test_offsets_move_and_stretch_an_anchor() -> None:
    anchor = np.array([[100, 200, 20, 60]], np.float32)
    moved = np.array([[10, -5, 5 * np.log(2), 0]], np.float32)
    # centre 100 + 0.1 · 10 · 20 and 200 - 0.1 · 5 · 60; width 20 · exp(0.2 · 5 · ln 2)
    assert ssd_boxes(moved, anchor)[0] == pytest.approx([100, 140, 140, 200], abs=1e-3)


def test_it_finds_the_people_of_the_clip_as_the_default_does() -> None:
    """Of labelled people 100 px and higher in a frame of 1080, by each at its own strong score."""
    labelled: dict[int, list[Box]] = {}
    for person in campus.people():
        for visit in person.visits:
            for frame, box in visit.boxes.items():
                if frame % 20 == 0 and box.height * 1080 / 576 >= 100:
                    labelled.setdefault(frame, []).append(box)
    frames = campus.read_frames(set(labelled))
    found = {}
    for model in (MODEL, shipped_model(DETECTOR)):
        detector = load_detector(model, weak_score=0.5)
        seen = [
            any(iou(box, person.box) >= 0.5 for person in people)
            for frame, boxes in labelled.items()
            for people in [detector.detect(frames[frame])]
            for box in boxes
        ]
        found[model] = np.mean(seen)
    assert len(labelled) > 20
    assert found[MODEL] > found[shipped_model(DETECTOR)] - 0.1
    assert found[MODEL] > 0.85


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "none of 'ssd': anchors: is missing"),
        ({"anchors": [{"stride": 16, "sizes": [[9, 9]]}]}, "with 576 anchors expects"),
        ({"anchors": [{"stride": 0, "sizes": [[9, 9]]}]}, "anchors.0.stride"),
        ({"anchors": [{"stride": 16, "sizes": [[9, -9]]}]}, "anchors.0.sizes.0.1"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    settings: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.tflite"
    shutil.copy(MODEL, path)
    manifest = DetectorManifest.model_validate_json(MODEL.with_suffix(".json").read_bytes())
    write_manifest(manifest.model_copy(update={"decoder_settings": settings}), path)
    with pytest.raises(ModelError, match=complaint):
        load_detector(path)
