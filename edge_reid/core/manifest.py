"""Model manifests: the JSON beside a `.tflite` that says what it is and proves it is that file.

`models/NAME.tflite` has its manifest in `models/NAME.json`.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from edge_reid.core.bundled_models import (
    DETECTORS,
    EMBEDDINGS,
    is_shipped,
    left_out,
    shipped_model,
)
from edge_reid.core.errors import ModelError, ModelMismatchError
from edge_reid.core.files import write_whole
from edge_reid.core.validation_errors import describe_mistakes

MODEL_ID_LENGTH = 16
"""Hex digits of a model's SHA-256 that make its model_id: 64 bits, enough for any fleet."""
_SELDOM = 0.05
"""Share of the comparisons of one person."""


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the `.tflite` file."""
    input_height_px: Annotated[int, Field(gt=0, le=4096)]
    input_width_px: Annotated[int, Field(gt=0, le=4096)]
    licence: str
    """Of the weights."""
    source: str
    """Where the weights come from, in words."""

    @property
    def model_id(self) -> str:
        """Content hash of the model: the first 16 hex digits of its SHA-256."""
        return self.sha256[:MODEL_ID_LENGTH]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Forecast(_Section):
    """What to expect with so many people enrolled, one template each."""

    people: Annotated[int, Field(gt=0)]
    target_fpir: Annotated[float, Field(gt=0, lt=1)]
    threshold: float
    fnir: Annotated[float, Field(ge=0, le=1)]
    """Share of tracks of enrolled people that are not named rightly."""
    fnir_low: float
    fnir_high: float
    """95 % interval of `fnir`."""
    measured: bool
    """False: the threshold lies beyond what the data show, on the cautious side."""


class Calibration(_Section):
    """What the thresholds rest on; written by `edge-reid calibrate`."""

    data: tuple[str, ...]
    people: int
    cameras_known: bool
    """False: the halves of each person's pictures stood for two cameras; expect worse."""
    impostor_comparisons: int
    genuine_comparisons: int
    impostor_intervals: tuple[tuple[float, float, float], ...]
    """(p, low, high): 95 % interval of each impostor quantile, from a bootstrap over people."""
    genuine_intervals: tuple[tuple[float, float, float], ...]
    forecasts: tuple[Forecast, ...] = ()


class PersonQuantiles(_Section):
    """How alike impostors are to people who are enrolled with several templates."""

    templates: Annotated[int, Field(ge=2)]
    """Of each person."""
    impostor_quantiles: Annotated[tuple[tuple[float, float], ...], Field(min_length=1)]
    """(p, similarity): the share p of comparisons of a track with a person who is somebody else
    that reach this similarity; p falls. It is that of `edge_reid.matching.index.Index`, fused."""


class EmbeddingManifest(_Manifest):
    """A model that turns a person crop into an embedding. Input is uint8 RGB (1, H, W, 3)."""

    kind: Literal["embedding"] = "embedding"
    dimension: Annotated[int, Field(gt=0, le=4096)]
    impostor_quantiles: tuple[tuple[float, float], ...]
    """(p, similarity): the share p of impostor comparisons that reach this similarity; p falls.
    A comparison is of a track (the mean of a few crops) with one template of somebody else."""
    impostor_quantiles_by_templates: tuple[PersonQuantiles, ...] = ()
    """Since 0.6: of people with so many templates, rising. Empty: not measured, and a person of
    several templates counts as so many people of one."""
    genuine_quantiles: tuple[tuple[float, float], ...] = ()
    """(p, similarity): the share p of genuine comparisons that stay below this similarity."""
    calibration: Calibration | None = None
    """None: the quantiles come from an export alone, without intervals."""
    training_data: tuple[str, ...] = ()
    """Each source with its terms."""
    training_pictures: Annotated[str, Field(pattern=r"^([0-9a-f]{12})*$")] = ""
    """Since 0.5: the smallest of the hashes of the training pictures, 12 hex digits each, by which
    `calibrate` knows people that the model was trained on. Empty: not noted."""
    grey_world: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Since 0.7: the share of a crop's colour cast that is taken out before the model sees it. The
    same file with another share makes embeddings that are not comparable, and has another id."""
    metrics: dict[str, float] = {}
    """Measured on held-out data, named `<data>_<metric>`."""
    quantisation: str = "int8"

    @property
    def least_genuine(self) -> tuple[float, float] | None:
        """(p, similarity) that comparisons of one person seldom stay below; None: not measured.

        The rarest share in the table that is not rarer than 1 in 20: tables of many people go on to
        similarities that strangers reach too.
        """
        seldom = (each for each in self.genuine_quantiles if each[0] >= _SELDOM)
        return min(seldom, default=min(self.genuine_quantiles, default=None))

    @property
    def model_id(self) -> str:
        """Content hash of the model, and of what is done to crops before it, if anything."""
        if not self.grey_world:
            return super().model_id
        fed = f"{self.sha256} grey_world {self.grey_world!r}".encode()
        return hashlib.sha256(fed).hexdigest()[:MODEL_ID_LENGTH]


class HeightRecall(_Section):
    """How many of the people of some heights a detector finds at its strong score.

    Heights are pixels of a frame that is scaled into 1920 x 1080.
    """

    from_px: Annotated[int, Field(ge=0)]
    below_px: Annotated[int, Field(gt=0)]
    recall: Annotated[float, Field(ge=0, le=1)]
    people: Annotated[int, Field(gt=0)]
    """Labelled people that the recall rests on."""


class DetectorManifest(_Manifest):
    """A model that finds people in a frame."""

    kind: Literal["detector"] = "detector"
    decoder: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,32}$")]
    """Family of the model: how it is fed, and how raw outputs become boxes."""
    decoder_settings: dict[str, JsonValue] = {}
    """Of this family alone, which checks them when the model is loaded. `strides` and `pad_value`
    may stand beside the other fields instead, as they did in all manifests of up to 0.4."""
    channel_order: Literal["rgb", "bgr"] = "rgb"
    input_dtype: Literal["float32", "uint8"] = "float32"
    """Pixel values are 0..255 either way; normalisation is inside the graph."""
    strong_score: Annotated[float, Field(gt=0, lt=1)]
    """A detection at or above this may start a track."""
    weak_score: Annotated[float, Field(gt=0, lt=1)]
    """A detection at or above this may only continue one."""
    nms_iou: Annotated[float, Field(gt=0, lt=1)] = 0.5
    recall_by_height: tuple[HeightRecall, ...] = ()
    """Since 0.6, rising: which people it can be trusted to find. Empty: nobody measured it."""

    @model_validator(mode="before")
    @classmethod
    def _gather_decoder_settings(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        flat = {name: table[name] for name in ("strides", "pad_value") if name in table}
        if not flat:
            return table
        others = {name: value for name, value in table.items() if name not in flat}
        return {**others, "decoder_settings": {**flat, **others.get("decoder_settings", {})}}


AnyManifest = Annotated[EmbeddingManifest | DetectorManifest, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[EmbeddingManifest | DetectorManifest] = TypeAdapter(AnyManifest)


def manifest_path(model_path: Path) -> Path:
    """`models/NAME.tflite` → `models/NAME.json`."""
    return model_path.with_suffix(".json")


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def load_embedding_manifest(model_path: Path) -> EmbeddingManifest:
    """The verified manifest of an embedding model.

    Raises:
        ModelError: the file or its manifest is missing, malformed, of another kind, or they
            do not belong together.
    """
    manifest = _load_verified(model_path)
    if not isinstance(manifest, EmbeddingManifest):
        raise ModelError(_wrong_kind(model_path, "an embedding model", manifest.kind))
    return manifest


def load_detector_manifest(model_path: Path) -> DetectorManifest:
    """The verified manifest of a detector; raises ModelError like `load_embedding_manifest`."""
    manifest = _load_verified(model_path)
    if not isinstance(manifest, DetectorManifest):
        raise ModelError(_wrong_kind(model_path, "a person detector", manifest.kind))
    return manifest


def parse_manifest(body: bytes, path: Path) -> EmbeddingManifest | DetectorManifest:
    """The manifest in the bytes of a file; `path` says which, if it is none.

    Raises:
        ModelError: it is malformed.
    """
    try:
        return _ADAPTER.validate_json(body)
    except ValidationError as error:
        mistakes = "; ".join(describe_mistakes(error))
        raise ModelError(f"manifest {path}: not a valid manifest: {mistakes}") from error


def shipped_model_of(what: str, model_id: str, remedy: str) -> Path:
    """The shipped embedding model of an id, where nobody names a model.

    Args:
        what: has embeddings of that model, for the message: `gallery people.db`.
        model_id: its id.
        remedy: what else to do than to name the model.

    Raises:
        ModelMismatchError: no shipped model has that id.
    """
    path = shipped_with_id(model_id)
    if path is None:
        raise ModelMismatchError(
            f"{what}: expected one of a shipped model, as no other is named, got one of model "
            f"{model_id}; give that model's .tflite as --model{remedy}"
        )
    return path


def shipped_detector_of(what: str, sha256: str, remedy: str) -> Path:
    """The shipped detector with a checksum, where nobody names one.

    Args:
        what: was made with that detector, for the message: `archive tracks/`.
        sha256: of its `.tflite`.
        remedy: what else to do than to name the detector.

    Raises:
        ModelMismatchError: no shipped detector has that checksum.
    """
    for path in map(shipped_model, DETECTORS):
        with suppress(ModelError):  # of that one nothing can be said
            if _parse(manifest_path(path)).sha256 == sha256:
                return path
    raise ModelMismatchError(
        f"{what}: expected one of a shipped detector, as no other is named, got one "
        f"of the detector with sha256 {sha256}; give that detector's .tflite as --detector{remedy}"
    )


def shipped_name(model_id: str) -> str | None:
    """What the shipped embedding model of that id is called; None: it is none of them."""
    path = shipped_with_id(model_id)
    return path.stem if path else None


def shipped_with_id(model_id: str) -> Path | None:
    """The shipped embedding model of that id; None: this installation has none of it.

    Manifests are read, and not verified, which loading the model does.
    """
    for name in EMBEDDINGS:
        path = shipped_model(name)
        with suppress(ModelError):  # of that one nothing can be said
            if _parse(manifest_path(path)).model_id == model_id:
                return path
    return None


def model_in_words(model_id: str) -> str:
    """`NAME (model_id)` of a shipped embedding model, of another its id."""
    name = shipped_name(model_id)
    return f"{name} ({model_id})" if name else model_id


def write_manifest(manifest: EmbeddingManifest | DetectorManifest, model_path: Path) -> Path:
    """Write the manifest beside its model, whole or not at all; returns where."""
    path = manifest_path(model_path)
    write_whole(path, manifest.model_dump_json(indent=2).encode() + b"\n")
    return path


def _load_verified(model_path: Path) -> EmbeddingManifest | DetectorManifest:
    if not model_path.is_file():
        if complaint := left_out(model_path):
            raise ModelError(f"model: {complaint}")
        raise ModelError(
            f"model {model_path}: no such file; give the path of a .tflite, or the name of a "
            "shipped one"
        )
    manifest = _parse(manifest_path(model_path))
    try:
        found = file_sha256(model_path)
    except OSError as error:  # as of a card that wears out
        raise ModelError(
            f"model {model_path}: cannot be read: {error.strerror}; {_restored(model_path)}"
        ) from error
    if found != manifest.sha256:
        raise ModelError(
            f"model {model_path}: its manifest expects sha256 {manifest.sha256[:16]}…, "
            f"the file has {found[:16]}…; {_restored(model_path)}"
        )
    return manifest


def _restored(model_path: Path) -> str:
    """What to do about a damaged file."""
    again = "install edge-reid anew" if is_shipped(model_path) else "export the model again"
    return f"restore the file, or {again}"


def _parse(path: Path) -> EmbeddingManifest | DetectorManifest:
    if not path.is_file():
        raise ModelError(f"manifest {path}: no such file; every model needs one beside it")
    try:
        body = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"manifest {path}: cannot be read: {error.strerror}; restore the file"
        ) from error
    return parse_manifest(body, path)


def _wrong_kind(model_path: Path, expected: str, kind: str) -> str:
    return (
        f"model {model_path}: expected {expected}, its manifest says {kind!r}; give the other file"
    )
