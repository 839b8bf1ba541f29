"""Which heights of people a camera sees, who finds them, and what would find more of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from edge_reid.core.bundled_models import DETECTORS, called, shipped_model
from edge_reid.core.config.vision_settings import ModelSettings
from edge_reid.core.geometry import Boxes, iou_matrix
from edge_reid.core.manifest import DetectorManifest, load_detector_manifest
from edge_reid.core.types import Detection, Frame, Image
from edge_reid.vision.detect import Detector, load_detector
from edge_reid.vision.suppression import suppress

HEIGHTS_PX = (0, 32, 48, 64, 80, 100, 128, 160, 200, 300, 450, 1081)
"""Bounds of the bands, in pixels of a frame scaled into 1920 x 1080."""
WHOLE_PX = 1920, 1080
PICTURES = 40
"""Looked at, spread over the time."""
SAME_PERSON_IOU = 0.5
TRUSTED_RECALL = 0.8
"""A detector is trusted with heights of which it finds this share at every look: a track needs
three looks, and there are five a second."""
SAME_SHARE = 0.03
"""Shares of people found that differ by less are taken as equal."""
FULL_HEIGHT_PX = 192
"""Input height of the larger embedding model: taller crops are scaled down to it."""
CHEAPER = 0.8
"""A detector is called cheaper from this share of the time."""


@dataclass(frozen=True, slots=True)
class TriedDetector:
    """A detector that may be tried on a camera."""

    path: Path
    detector: Detector

    @property
    def manifest(self) -> DetectorManifest:
        return self.detector.manifest

    @property
    def name(self) -> str:
        return self.manifest.name


@dataclass(frozen=True, slots=True)
class Sighting:
    """Somebody on one picture, found by at least one detector at its strong score."""

    height_px: float
    """In pixels of the camera's picture."""
    scaled_px: float
    """In pixels of a frame scaled into 1920 x 1080, as in manifests."""
    found_by: frozenset[str]
    """Names of detectors."""


@dataclass(frozen=True, slots=True)
class CameraLook:
    """What was seen during the look."""

    size_px: tuple[int, int]
    pictures: int
    sightings: tuple[Sighting, ...]
    took_ms: Mapping[str, float]
    """Median time a picture of each detector, by name, with its scaling."""


@dataclass(frozen=True, slots=True)
class HeightBand:
    """One row of the report: heights in scaled pixels, and what was found there."""

    low_px: int
    below_px: int
    sightings: int
    found: Mapping[str, float]
    """Share found by each detector, by name."""


def in_use_and_shipped(models: ModelSettings) -> tuple[TriedDetector, ...]:
    """The detector in use, then the other shipped ones that this installation has.

    Raises:
        ModelError: the one in use is missing, or one is corrupt.
    """
    used = load_detector_manifest(models.detector).name
    shipped = (path for path in map(shipped_model, DETECTORS) if path.is_file())
    others = (path for path in shipped if load_detector_manifest(path).name != used)
    return tuple(
        TriedDetector(path, load_detector(path, runtime=models.runtime, threads=models.threads))
        for path in (models.detector, *others)
    )


def look_at(
    frames: Iterable[Frame], detectors: Sequence[TriedDetector], seconds: float
) -> CameraLook:
    """Let every detector look at pictures spread over so many seconds of a camera or a file."""
    sightings: list[Sighting] = []
    times: dict[str, list[float]] = {tried.name: [] for tried in detectors}
    size_px, pictures = (0, 0), 0
    for frame in _spread(frames, seconds):
        found = {}
        for tried in detectors:
            found[tried.name], took_ms = _timed(tried.detector, frame.image)
            times[tried.name].append(took_ms)
        sightings += _merged(found, frame.image)
        size_px, pictures = frame.size_px, pictures + 1
    median_ms = {name: float(np.median(took)) for name, took in times.items() if took}
    return CameraLook(size_px, pictures, tuple(sightings), median_ms)


def _timed(detector: Detector, image: Image) -> tuple[list[Detection], float]:
    """Strong detections, and the milliseconds that they took."""
    start = time.perf_counter()
    people = detector.detect(image)
    took_ms = 1e3 * (time.perf_counter() - start)
    return [person for person in people if person.score >= detector.strong_score], took_ms


def _spread(frames: Iterable[Frame], seconds: float) -> Iterator[Frame]:
    """About `PICTURES` frames, evenly over the seconds that follow the first one."""
    first_s: float | None = None
    due_s = 0.0
    for frame in frames:
        first_s = frame.captured_utc_s if first_s is None else first_s
        passed_s = frame.captured_utc_s - first_s
        if passed_s >= seconds:
            return
        if passed_s >= due_s:
            due_s = passed_s + seconds / PICTURES
            yield frame


def _merged(found: Mapping[str, list[Detection]], image: Image) -> Iterator[Sighting]:
    """What several detectors found of the same person is one sighting."""
    people = [person for strong in found.values() for person in strong]
    if not people:
        return
    scores = np.array([person.score for person in people], np.float32)
    boxes = _rows(people)
    height, width = image.shape[:2]
    scale = min(WHOLE_PX[0] / width, WHOLE_PX[1] / height)
    for index in suppress(boxes, scores, SAME_PERSON_IOU):
        box = people[index].box
        by = (name for name, strong in found.items() if _has(strong, boxes[index]))
        yield Sighting(box.height, box.height * scale, frozenset(by))


def _has(people: Sequence[Detection], box: Boxes) -> bool:
    return bool(people) and bool(
        (iou_matrix(box[np.newaxis], _rows(people)) >= SAME_PERSON_IOU).any()
    )


def _rows(people: Sequence[Detection]) -> Boxes:
    return np.stack([person.box.to_array() for person in people])


def bands(look: CameraLook) -> tuple[HeightBand, ...]:
    """The heights at which somebody was seen."""
    return tuple(
        HeightBand(low, below, len(seen), {name: _share(name, seen) for name in look.took_ms})
        for low, below in pairwise(HEIGHTS_PX)
        if (seen := [s for s in look.sightings if low <= s.scaled_px < below])
    )


def _share(name: str, sightings: Sequence[Sighting]) -> float:
    return float(np.mean([name in sighting.found_by for sighting in sightings]))


def trusted_heights(manifest: DetectorManifest) -> tuple[int, int] | None:
    """The longest run of heights (from, below) of which a detector finds `TRUSTED_RECALL`.

    None: its manifest has none, or does not say.
    """
    runs: list[tuple[int, int]] = []
    for row in manifest.recall_by_height:
        if row.recall < TRUSTED_RECALL:
            continue
        if runs and runs[-1][1] == row.from_px:
            runs[-1] = runs[-1][0], row.below_px
        else:
            runs.append((row.from_px, row.below_px))
    return max(runs, key=lambda run: run[1] / max(run[0], 1), default=None)


def advice(look: CameraLook, detectors: Sequence[TriedDetector], min_height_px: int) -> list[str]:
    """What would help this camera, in words; the first tried is the one in use."""
    if not look.sightings:
        missing = f"nobody was seen on {look.pictures} pictures"
        return [f"{missing}: look again while people pass, with more --seconds"]
    return [
        _on_detectors(look, detectors),
        *_on_trust(look, detectors[0].manifest),
        *_on_small_people(look, min_height_px),
        *_on_large_people(look),
        *_on_untried(),
    ]


def _on_detectors(look: CameraLook, detectors: Sequence[TriedDetector]) -> str:
    shares = {tried.name: _share(tried.name, look.sightings) for tried in detectors}
    least = max(shares.values()) - SAME_SHARE
    enough = [tried for tried in detectors if shares[tried.name] >= least]
    best = min(enough, key=lambda tried: look.took_ms[tried.name])
    used = detectors[0]
    finding = f"finds {100 * shares[used.name]:.0f} % of the sightings in {_ms(look, used)}"
    is_much_cheaper = look.took_ms[best.name] < CHEAPER * look.took_ms[used.name]
    if used in enough and not is_much_cheaper:
        return f"{used.name} {finding}: it fits this camera"
    return (
        f'models.detector = "{called(best.path)}" finds {100 * shares[best.name]:.0f} % in '
        f"{_ms(look, best)}; {used.name}, in use, {finding}"
    )


def _ms(look: CameraLook, tried: TriedDetector) -> str:
    return f"{look.took_ms[tried.name]:.0f} ms a look"


def _on_trust(look: CameraLook, manifest: DetectorManifest) -> Iterator[str]:
    heights = trusted_heights(manifest)
    if heights is None:
        yield f"{manifest.name}: its manifest does not say which heights it can be trusted with"
        return
    low, below = heights
    beyond = sum(not low <= sighting.scaled_px < below for sighting in look.sightings)
    if beyond:
        yield (
            f"{beyond} of {len(look.sightings)} sightings are of heights that {manifest.name} is "
            f"not trusted with: by its manifest it is from {low} to {below} px"
        )


def _on_small_people(look: CameraLook, min_height_px: int) -> Iterator[str]:
    small = sum(sighting.height_px < min_height_px for sighting in look.sightings)
    if small:
        yield (
            f"{small} of {len(look.sightings)} sightings are lower than {min_height_px} px, from "
            "which on crops are embedded: no detector helps there; take a larger stream of the "
            "camera, a longer lens, or bring it closer"
        )


def _on_untried() -> Iterator[str]:
    missing = [name for name in DETECTORS if not shipped_model(name).is_file()]
    if missing:
        names = ", ".join(Path(name).stem for name in missing)
        yield f"not tried, as this installation does not have them: {names}"


def _on_large_people(look: CameraLook) -> Iterator[str]:
    lowest = float(np.percentile([sighting.height_px for sighting in look.sightings], 10))
    if lowest >= 2 * FULL_HEIGHT_PX:
        width, height = look.size_px
        yield (
            f"nine in ten sightings are at least {lowest:.0f} px high, more than a model looks at: "
            f"a substream of {width // 2}×{height // 2} shows as much and is cheaper to decode"
        )
