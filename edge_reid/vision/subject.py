"""The one person a photo is about.

A photo is a person crop, which is taken whole, or a scene, in which the detector looks for people.
It is a crop when

* it has the shape of one, at least 1.6 times as high as wide and at most 512 px high, and the
  detector sees anybody in it, however weakly (of 360 crops of three re-identification data sets
  99 % are taken so, of 120 empty cuttings of a street scene 2 %), or
* it is at least 1.3 times as high as wide and the one person found covers 70 % of it.

In a scene, prominence is area × score, and the people of it are numbered by it, from 1. The most
prominent person is the subject; whoever has at least a quarter of that prominence is a rival, and
with a rival there is none unless asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from edge_reid.core.errors import PhotoError, UsageError
from edge_reid.core.geometry import Box, iou
from edge_reid.core.types import Detection, Image
from edge_reid.vision.crops import crop_quality, cut, whole_crop_quality
from edge_reid.vision.detect import Detector
from edge_reid.vision.photo import Photo
from edge_reid.vision.unclear_photo import CrowdedPhotoError, EmptyPhotoError, box_text

CROP_SCORE = 0.2
"""Weak score that the detector of `find_subject` should report down to: enough in a crop."""

_CROP_ASPECT = 1.6
_CROP_MAX_HEIGHT_PX = 512
_FILLED_ASPECT = 1.3
_FILLED_SHARE = 0.7
_RIVAL_SHARE = 0.25
_MIN_SIDE_PX = 8
_SAME_PERSON_IOU = 0.3


class BoxOrigin(Enum):
    """How a subject was found, in words."""

    GIVEN = "box as given"
    CROP = "the photo is a crop"
    SCENE = "found in the scene"


@dataclass(frozen=True, slots=True, eq=False)
class PhotoSubject:
    """A person cut out of a photo."""

    image: Image
    """RGB uint8 (h, w, 3)."""
    box: Box
    """In the photo."""
    origin: BoxOrigin
    score: float | None
    """The detector's; None for a box that was given."""
    quality: float
    """0..1, as `Crop.quality`."""


def subject_at(photo: Photo, box: Box, detector: Detector) -> PhotoSubject:
    """The part of the photo that somebody pointed at.

    Args:
        photo: any.
        box: in the photo.
        detector: reporting down to `CROP_SCORE`.

    Raises:
        UsageError: less than 8 × 8 px of the box are inside the photo.
        PhotoError: nobody is in it, however weakly the detector might see them.
    """
    height, width = photo.image.shape[:2]
    inside = box.clipped(width, height)
    if min(inside.width, inside.height) < _MIN_SIDE_PX:
        raise UsageError(
            f"photo {photo.path}: expected a box of {_MIN_SIDE_PX} × {_MIN_SIDE_PX} px or more "
            f"inside its {width} × {height}, got {box_text(box)}; give --box x1,y1,x2,y2 in pixels"
        )
    if not _shows_anybody(photo.image, inside, detector):
        raise PhotoError(
            f"photo {photo.path}: expected a person in the box {box_text(inside)}, saw nobody "
            "there; draw it around one, from head to feet, or take another photo"
        )
    quality = crop_quality(photo.image, inside)
    return PhotoSubject(cut(photo.image, inside), inside, BoxOrigin.GIVEN, None, quality)


def find_subject(photo: Photo, detector: Detector, *, largest: bool = False) -> PhotoSubject:
    """The person whom the photo shows.

    Args:
        photo: a crop or a scene.
        detector: reporting down to `CROP_SCORE`.
        largest: take the most prominent person, whatever the rivals.

    Raises:
        CrowdedPhotoError: it shows more than one plausible person.
        EmptyPhotoError: it shows nobody.
    """
    seen = _by_prominence(photo, detector)
    people = _sure(seen, detector)
    rivals = [each for each in people if _prominence(each) >= _RIVAL_SHARE * _prominence(people[0])]
    if len(rivals) > 1 and not largest:
        raise CrowdedPhotoError(photo.path, [each.box for each in people])
    if len(rivals) <= 1 and seen and _is_crop(photo.image, people):
        return _whole(photo, seen[0].score)
    return _of_scene(photo, people, 1)


def numbered_subject(photo: Photo, number: int, detector: Detector) -> PhotoSubject:
    """The person of this number, as `CrowdedPhotoError` counts them.

    Args:
        photo: a scene.
        number: from 1.
        detector: the one that counted.

    Raises:
        EmptyPhotoError: it shows nobody.
        UsageError: it shows fewer people.
    """
    return _of_scene(photo, _sure(_by_prominence(photo, detector), detector), number)


def _by_prominence(photo: Photo, detector: Detector) -> list[Detection]:
    """Everybody in it, however weakly seen, the most prominent first."""
    return sorted(detector.detect(photo.image), key=_prominence, reverse=True)


def _prominence(person: Detection) -> float:
    return person.box.area * person.score


def _sure(seen: Sequence[Detection], detector: Detector) -> list[Detection]:
    return [each for each in seen if each.score >= detector.strong_score]


def _of_scene(photo: Photo, people: Sequence[Detection], number: int) -> PhotoSubject:
    if not people:
        raise EmptyPhotoError(photo.path)
    if number > len(people):
        most = "1, its only person" if len(people) == 1 else f"1 to {len(people)}, its people"
        raise UsageError(f"photo {photo.path}: expected --box {most}, got --box {number}")
    subject = people[number - 1]
    others = [other.box for other in people if other is not subject]
    quality = crop_quality(photo.image, subject.box, others)
    image = cut(photo.image, subject.box)
    return PhotoSubject(image, subject.box, BoxOrigin.SCENE, subject.score, quality)


def _shows_anybody(image: Image, box: Box, detector: Detector) -> bool:
    """Whether the box alone, or with as much around it, is seen to hold somebody.

    So it is with all of 32 people of a street scene, and with 4 of 150 boxes of its background.
    """
    if detector.detect(cut(image, box)):
        return True
    height, width = image.shape[:2]
    around = Box(
        box.x1 - box.width, box.y1 - box.height, box.x2 + box.width, box.y2 + box.height
    ).clipped(width, height)
    left, top = around.x1, around.y1
    inside = Box(box.x1 - left, box.y1 - top, box.x2 - left, box.y2 - top)
    seen = detector.detect(cut(image, around))
    return any(iou(each.box, inside) >= _SAME_PERSON_IOU for each in seen)


def _is_crop(image: Image, people: Sequence[Detection]) -> bool:
    height, width = image.shape[:2]
    has_shape = height >= _CROP_ASPECT * width and height <= _CROP_MAX_HEIGHT_PX
    filled = any(each.box.area >= _FILLED_SHARE * height * width for each in people)
    return has_shape or (filled and height >= _FILLED_ASPECT * width)


def _whole(photo: Photo, score: float) -> PhotoSubject:
    height, width = photo.image.shape[:2]
    box = Box(0.0, 0.0, float(width), float(height))
    quality = whole_crop_quality(photo.image)
    return PhotoSubject(photo.image, box, BoxOrigin.CROP, score, quality)
