"""Frames to people: one small interface, and the TFLite detectors behind it.

Another detector comes in by its `.tflite` and manifest alone, if it belongs to a family of
`vision.detectors`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_reid.core.config.vision_settings import RuntimeName
from edge_reid.core.errors import ModelError, UsageError
from edge_reid.core.geometry import Box, Boxes
from edge_reid.core.manifest import DetectorManifest, load_detector_manifest
from edge_reid.core.types import Detection, Image
from edge_reid.vision.detectors.family import DetectorFamily
from edge_reid.vision.detectors.registry import FAMILIES
from edge_reid.vision.runtime import Model
from edge_reid.vision.suppression import suppress


class Detector(Protocol):
    """Finds people."""

    @property
    def manifest(self) -> DetectorManifest: ...

    @property
    def strong_score(self) -> float:
        """In force: at or above, a detection may start a track."""

    @property
    def weak_score(self) -> float:
        """In force: at or above, a detection may continue a track; below, it is not reported."""

    def with_scores(self, *, strong: float | None, weak: float | None) -> Detector:
        """The same model with other scores in force; None takes the manifest's.

        Raises:
            UsageError: the weak score is above the strong one.
        """

    def detect(self, image: Image) -> tuple[Detection, ...]:
        """The people of one RGB frame: by falling score, boxes inside the frame.

        Raises:
            PhotoError: the image is empty or not RGB uint8.
        """


def load_detector(
    model_path: Path,
    *,
    runtime: RuntimeName = "auto",
    threads: int = 1,
    at_once: int = 1,
    strong_score: float | None = None,
    weak_score: float | None = None,
) -> Detector:
    """The detector that the manifest beside the model describes, loaded as `Model` does; scores
    given here override it.

    Raises:
        ModelError: the file or its manifest is missing, corrupt, of another kind, or they do not
            belong together.
        UsageError: the weak score is above the strong one.
    """
    manifest = load_detector_manifest(model_path)
    strong, weak = _scores(manifest, strong_score, weak_score)
    model = Model(model_path, runtime=runtime, threads=threads, at_once=at_once)
    family = _family_of(manifest, model, f"model {model_path}")
    return _FamilyDetector(model, manifest, family, strong_score=strong, weak_score=weak)


class _FamilyDetector:
    """A model, read as its family is."""

    def __init__(
        self,
        model: Model,
        manifest: DetectorManifest,
        family: DetectorFamily,
        *,
        strong_score: float,
        weak_score: float,
    ) -> None:
        self.manifest = manifest
        self.strong_score = strong_score
        self.weak_score = weak_score
        self._model = model
        self._family = family

    def with_scores(self, *, strong: float | None, weak: float | None) -> Detector:
        scores = _scores(self.manifest, strong, weak)
        return _FamilyDetector(
            self._model, self.manifest, self._family, strong_score=scores[0], weak_score=scores[1]
        )

    def detect(self, image: Image) -> tuple[Detection, ...]:
        canvas = self._family.canvas_of(image)
        outputs = self._model(_ordered(canvas.image, self.manifest.channel_order)[np.newaxis])
        boxes, scores = self._family.people(outputs, self.weak_score)
        kept = suppress(boxes, scores, self.manifest.nms_iou)
        scale = np.tile(np.asarray(canvas.scale_xy, np.float32), 2)
        return _detections(image, boxes[kept] / scale, scores[kept])


def _scores(
    manifest: DetectorManifest, strong: float | None, weak: float | None
) -> tuple[float, float]:
    """(strong, weak), from the manifest where none is given."""
    strong = manifest.strong_score if strong is None else strong
    weak = manifest.weak_score if weak is None else weak
    if weak > strong:
        raise UsageError(
            f"detector scores: weak_score should be at most strong_score, got {weak} and {strong}"
        )
    return strong, weak


def _family_of(manifest: DetectorManifest, model: Model, where: str) -> DetectorFamily:
    make = FAMILIES.get(manifest.decoder)
    if make is None:
        known = ", ".join(FAMILIES)
        raise ModelError(
            f"{where}: expected a decoder of {known} in its manifest, got {manifest.decoder!r}; "
            "is this edge-reid older than the model?"
        )
    _check_input(where, model, manifest)
    return make(manifest, model.outputs, where)


def _ordered(canvas: Image, channel_order: str) -> Image:
    """In memory, not as a view: to make floats of a view backwards takes 20 times as long."""
    if channel_order == "rgb":
        return canvas
    return np.asarray(cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR), np.uint8)


def _detections(image: Image, boxes: Boxes, scores: NDArray[np.float32]) -> tuple[Detection, ...]:
    height, width = image.shape[:2]
    found = (
        Detection(Box.from_array(box).clipped(width, height), float(score))
        for box, score in zip(boxes, scores, strict=True)
    )
    return tuple(detection for detection in found if detection.box.area > 0)


def _check_input(where: str, model: Model, manifest: DetectorManifest) -> None:
    found = model.inputs[0]
    expected = (1, manifest.input_height_px, manifest.input_width_px, 3)
    if found.shape != expected or found.dtype != manifest.input_dtype:
        raise ModelError(
            f"{where}: its manifest expects {manifest.input_dtype} {expected} in, "
            f"the file takes {found.dtype} {found.shape}; correct the manifest"
        )
