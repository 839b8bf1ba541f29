"""Frames to people: one small interface, and the TFLite detectors behind it.

Another detector comes in by its `.tflite` and manifest alone, if it belongs to a family that
`vision.decode` knows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from edge_reid.core.config import RuntimeName
from edge_reid.core.errors import ModelError, UsageError
from edge_reid.core.geometry import Box, Boxes
from edge_reid.core.manifest import DetectorManifest, load_detector_manifest
from edge_reid.core.types import Detection, Image
from edge_reid.vision.decode import DECODERS, Array, cells_of, suppress
from edge_reid.vision.preprocess import letterbox
from edge_reid.vision.runtime import Model


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
    strong_score: float | None = None,
    weak_score: float | None = None,
) -> Detector:
    """The detector that the manifest beside the model describes; scores given here override it.

    Raises:
        ModelError: the file or its manifest is missing, corrupt, of another kind, or they do not
            belong together.
        UsageError: the weak score is above the strong one.
    """
    manifest = load_detector_manifest(model_path)
    strong = manifest.strong_score if strong_score is None else strong_score
    weak = manifest.weak_score if weak_score is None else weak_score
    if weak > strong:
        raise UsageError(
            f"detector scores: weak_score should be at most strong_score, got {weak} and {strong}"
        )
    model = Model(model_path, runtime=runtime, threads=threads)
    return _GridDetector(model_path, model, manifest, strong, weak)


class _GridDetector:
    """An anchor-free detector: a score and a raw box for each cell of its canvas."""

    def __init__(
        self,
        path: Path,
        model: Model,
        manifest: DetectorManifest,
        strong_score: float,
        weak_score: float,
    ) -> None:
        self.manifest = manifest
        self.strong_score = strong_score
        self.weak_score = weak_score
        self._model = model
        self._decoder = DECODERS[manifest.decoder]
        self._cells = cells_of(manifest.input_height_px, manifest.input_width_px, manifest.strides)
        _check_input(path, model, manifest)
        self._raw, self._scores = _find_outputs(path, model, manifest, len(self._cells))

    def detect(self, image: Image) -> tuple[Detection, ...]:
        manifest = self.manifest
        height, width = manifest.input_height_px, manifest.input_width_px
        boxed = letterbox(image, height, width, manifest.pad_value)
        outputs = self._model(_ordered(boxed.canvas, manifest.channel_order)[np.newaxis])
        all_scores = outputs[self._scores][0, :, 0]
        likely = np.flatnonzero(all_scores >= self.weak_score)
        boxes = self._decoder.boxes(outputs[self._raw][0, likely], self._cells.take(likely))
        scores = all_scores[likely]
        kept = suppress(boxes, scores, manifest.nms_iou)
        return _detections(image, boxes[kept] / np.float32(boxed.scale), scores[kept])


def _ordered(canvas: Image, channel_order: str) -> Image:
    return canvas if channel_order == "rgb" else canvas[..., ::-1]


def _detections(image: Image, boxes: Boxes, scores: Array) -> tuple[Detection, ...]:
    height, width = image.shape[:2]
    found = (
        Detection(Box.from_array(box).clipped(width, height), float(score))
        for box, score in zip(boxes, scores, strict=True)
    )
    return tuple(detection for detection in found if detection.box.area > 0)


def _check_input(path: Path, model: Model, manifest: DetectorManifest) -> None:
    found = model.inputs[0]
    expected = (1, manifest.input_height_px, manifest.input_width_px, 3)
    if found.shape != expected or found.dtype != manifest.input_dtype:
        raise ModelError(
            f"model {path}: its manifest expects {manifest.input_dtype} {expected} in, "
            f"the file takes {found.dtype} {found.shape}; correct the manifest"
        )


def _find_outputs(
    path: Path, model: Model, manifest: DetectorManifest, cells: int
) -> tuple[int, int]:
    """Positions of the raw boxes and of the scores: converters do not keep an order."""
    raw = (1, cells, DECODERS[manifest.decoder].values_per_cell)
    scores = (1, cells, 1)
    found = [spec.shape for spec in model.outputs]
    if sorted(found) != sorted((raw, scores)):
        raise ModelError(
            f"model {path}: decoder {manifest.decoder!r} at strides {manifest.strides} expects "
            f"{raw} and {scores} out, the file gives {found}; correct the manifest"
        )
    return found.index(raw), found.index(scores)
