"""Pictures, and what a detector is to say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_reid.core.types import Image
from edge_reid.vision.detect import Detector
from edge_reid.vision.detectors.ssd_family import AnchorLevel, anchor_boxes
from edge_reid.vision.preprocess import stretch
from trainer.conversion.openvino_ir import read_anchors, read_input_side
from trainer.detector.agreement import AgreedPeople, agreed
from trainer.detector.anchor_targets import AnchorTargets, anchor_targets
from trainer.detector.views import VIEW_PX, draw_view
from trainer.files.progress_bars import bar


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A picture, and what the anchors are to say of it."""

    picture: npt.NDArray[np.uint8]
    """(S, S, 3) BGR."""
    targets: AnchorTargets


def make_lessons(
    frames: Sequence[Image], teachers: Sequence[Detector], ir: Path, views: int, seed: int
) -> list[Lesson]:
    """So many views of the frames, and what the teachers agree on in them."""
    rng = np.random.default_rng(seed)
    side_px = read_input_side(ir)
    levels = [AnchorLevel(stride=each.stride, sizes=each.sizes) for each in read_anchors(ir)]
    anchors = anchor_boxes(side_px, side_px, levels)
    scale = np.tile(np.array([side_px / VIEW_PX[1], side_px / VIEW_PX[0]], np.float32), 2)
    lessons = []
    for _ in bar(range(views), "asking teachers"):
        view = draw_view(frames, rng)
        people = agreed([teacher.detect(view) for teacher in teachers])
        there = AgreedPeople(people.boxes * scale, people.scores)
        picture = stretch(view, side_px, side_px)[..., ::-1]
        lessons.append(Lesson(picture.copy(), anchor_targets(there, anchors)))
    return lessons
