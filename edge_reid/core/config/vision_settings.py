"""How people are found, followed and embedded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, ValidationInfo

from edge_reid.core.bundled_models import ModelKind, default_model, model_file
from edge_reid.core.config.section import Seconds, Section, Share
from edge_reid.core.cores import threads_for_inference
from edge_reid.core.errors import UsageError

RuntimeName = Literal["auto", "litert", "tflite-runtime"]


def runtime_name(word: str) -> RuntimeName:
    """Parse the value of `--runtime`.

    Raises:
        UsageError: there is no such runtime.
    """
    for known in get_args(RuntimeName):
        if known == word:
            return known  # type: ignore[no-any-return]
    raise UsageError(f"--runtime: expected one of {', '.join(get_args(RuntimeName))}, got {word}")


def _shipped_by_name(kind: ModelKind) -> AfterValidator:
    """Looks up a bare name, which by then stands beside the file of the settings."""

    def found(path: Path, info: ValidationInfo) -> Path:
        folder = (info.context or {}).get("folder")
        return model_file(Path(path.name), kind, folder) if path.parent == folder else path

    return AfterValidator(found)


DetectorFile = Annotated[Path, _shipped_by_name("detector")]
EmbeddingFile = Annotated[Path, _shipped_by_name("embedding")]


class ModelSettings(Section):
    """The models, and the runtime that executes them."""

    detector: DetectorFile = Field(default_factory=lambda: default_model("detector"))
    """Person detector: the name of a shipped one such as `person_detection_0201_640x640`, or a
    `.tflite` with its manifest beside it. Default: `nanodet_g_person_512x288`."""
    embedding: EmbeddingFile = Field(default_factory=lambda: default_model("embedding"))
    """Embedding model: the name of a shipped one such as `person_reid_mobilenetv2_160x80_int8`, or
    a `.tflite` with its manifest beside it. A gallery is of one model: with another one people are
    enrolled anew. Default: the shipped model that the gallery is of, also of one that
    `[gallery_sync]` has fetched: when another is published that is of another shipped model, the
    agent goes over to it. Before the first, `person_reid_osnet_160x80_int8` or, where a bundle left
    that out, the shipped one that it brought."""
    runtime: RuntimeName = "auto"
    """`auto` takes LiteRT if it is installed, else tflite-runtime."""
    threads: Annotated[int, Field(ge=1, le=64)] = Field(default_factory=threads_for_inference)
    """Threads for inference. Of more than four live cameras several are looked at at a time, and
    share them; each look more takes the memory of the models once more. Default: the fast cores
    that the agent may use, 4 at most."""
    public_key: Path | None = None
    """Public key of those who sign releases and, with them, manifests of models. A model signed
    with another key is refused; an unsigned one runs, with a warning. Default: no signature is
    checked."""

    @property
    def names_embedding(self) -> bool:
        """Whether somebody named the embedding model; else it is that of the gallery."""
        return "embedding" in self.model_fields_set

    def with_gallerys(self, embedding: Path) -> ModelSettings:
        """A copy with the embedding model of its gallery, which still counts as named by nobody."""
        return self.model_construct(
            self.model_fields_set, **(dict(self) | {"embedding": embedding})
        )


class DetectSettings(Section):
    """How often the detector runs, and from which score a detection counts."""

    rate_hz: Annotated[float, Field(gt=0, le=120)] = 5.0
    """Runs of the detector per second of video; between them, tracks are predicted."""
    motion_gate: bool = True
    """Skip the detector while nothing moves outside of masks and nobody is tracked."""
    strong_score: Share | None = None
    """A detection with at least this score may start a track. Default: from the detector's
    manifest."""
    weak_score: Share | None = None
    """A detection with at least this score may continue a track. Default: from the detector's
    manifest."""


class CameraDetectSettings(DetectSettings):
    """The detector of this camera."""

    model: DetectorFile | None = None
    """Person detector of this camera: the name of a shipped one, or a `.tflite` with its manifest
    beside it. Default: `models.detector`."""


class TrackSettings(Section):
    """How detections become tracks."""

    min_detections: Annotated[int, Field(ge=1, le=100)] = 2
    """Detections that confirm a track. Up to 2, one is enough of somebody who is seen clearly and
    stands apart from everybody else."""
    max_lost_s: Seconds = 2.0
    """A track that is not detected for this long ends."""
    relink_s: Annotated[float, Field(ge=0, le=60)] = 10.0
    """A track that begins within this time of where another was last seen, and looks like it,
    continues its visit; 0: none does."""
    min_iou: Share = 0.1
    """Least intersection over union of a predicted box and a strong detection that continues it."""


class EmbedSettings(Section):
    """Which crops of a track are embedded."""

    crops_per_track: Annotated[int, Field(ge=1, le=64)] = 5
    """The decision uses this many crops of a track, those of best quality."""
    min_height_px: Annotated[int, Field(ge=8, le=4096)] = 48
    """Least height of a box whose crop is embedded. Of people below it the shipped models miss
    most: their cards have the measurement."""
    min_quality: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Least quality of a crop that is embedded: size, sharpness, overlap, being whole in the
    frame."""
    min_interval_s: Seconds = 0.4
    """Least time between two crops of one track: crops of the same moment add no information."""
