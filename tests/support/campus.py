"""The campus clip and who is in it, labelled by eye (`tests/data/NOTICE`)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_reid.core.geometry import Box, iou
from edge_reid.core.types import Image
from edge_reid.vision.crops import cut

DATA = Path(__file__).parents[1] / "data"
CLIP = DATA / "campus.mp4"
FPS = 10
FRAMES = 795
ENROLLED = ("red-sleeves", "bomber-jacket", "brown-jacket")
"""They leave and come back; the two in dark jackets and jeans look alike."""
ENROLLED_BEFORE = 400
"""Enrolment photos are from before this frame, when none of them has come back yet."""
LABELLED_EVERY = 5
"""Frames between two labels of a person."""
SAME_BOX_IOU = 0.4


@dataclass(frozen=True, slots=True)
class Visit:
    """A stay of a person in the picture, from one frame to another."""

    first_frame: int
    last_frame: int
    boxes: dict[int, Box]
    """By frame, about every fifth."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who walks through the clip, perhaps more than once."""

    identity: str
    enrol: tuple[tuple[int, Box], ...]
    """(frame, box) of good views in the first visit."""
    visits: tuple[Visit, ...]


def people(*identities: str) -> tuple[Person, ...]:
    """Everybody labelled, or only these."""
    table = json.loads((DATA / "campus.json").read_text(encoding="utf-8"))
    known = {each["identity"]: _person(each) for each in table["people"]}
    return tuple(known[name] for name in identities or known)


def who_is(box: Box, frame: int) -> str | None:
    """Whom a box shows; None for somebody not labelled there and then."""
    near = range(frame - LABELLED_EVERY // 2, frame + LABELLED_EVERY // 2 + 1)
    candidates = [
        (iou(box, visit.boxes[moment]), person.identity)
        for person in people()
        for visit in person.visits
        for moment in near
        if moment in visit.boxes
    ]
    overlap, identity = max(candidates, default=(0.0, None))
    return identity if overlap >= SAME_BOX_IOU else None


def frame_of(moment: str) -> int:
    """Frame number of an event's time, when the run's clock began at a full hour."""
    minutes, seconds = moment[14:-1].split(":")
    return round((int(minutes) * 60 + float(seconds)) * FPS)


def write_photos(
    persons: Iterable[Person], folder: Path, before_frame: int = FRAMES
) -> dict[str, list[Path]]:
    """The enrolment crops as PNG files, by identity; only views from before a frame."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {
        (person.identity, frame): box
        for person in persons
        for frame, box in person.enrol
        if frame < before_frame
    }
    frames = read_frames({frame for _, frame in wanted})
    photos: dict[str, list[Path]] = {}
    for (identity, frame), box in wanted.items():
        path = folder / f"{identity}-{frame:03}.png"
        cv2.imwrite(str(path), cv2.cvtColor(cut(frames[frame], box), cv2.COLOR_RGB2BGR))
        photos.setdefault(identity, []).append(path)
    return photos


def read_frames(numbers: set[int], clip: Path = CLIP) -> dict[int, Image]:
    """Frames of the clip by number, RGB."""
    capture = cv2.VideoCapture(str(clip))
    found: dict[int, Image] = {}
    for number in range(max(numbers, default=-1) + 1):
        image = capture.read()[1]
        if number in numbers:
            found[number] = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
    capture.release()
    return found


def _person(table: dict[str, Any]) -> Person:
    return Person(
        identity=table["identity"],
        enrol=tuple((each["frame"], Box(*each["box"])) for each in table["enrol"]),
        visits=tuple(
            Visit(
                visit["first_frame"],
                visit["last_frame"],
                {int(frame): Box(*edges) for frame, *edges in visit["boxes"]},
            )
            for visit in table["visits"]
        ),
    )
