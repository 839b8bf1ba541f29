"""A teacher that is a network: `.tflite`, `.onnx`, `.keras` or `.xml` in, unit embeddings out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_reid.core.bundled_models import model_file
from edge_reid.core.errors import ModelError, TrainingError
from edge_reid.core.manifest import EmbeddingManifest, load_embedding_manifest
from edge_reid.matching.vectors import unit_rows
from edge_reid.vision.embed import Embedder
from edge_reid.vision.preprocess import to_input
from edge_reid.vision.runtime import Model
from trainer.data.decoded_crops import read_image
from trainer.files.progress_bars import bar
from trainer.recipe.recipe import Teacher

FloatArray: TypeAlias = npt.NDArray[np.float32]
ImageBatch: TypeAlias = npt.NDArray[np.uint8]
Shape: TypeAlias = Sequence[int | None]
"""Of an input, batch first; None where the network takes any."""
Run: TypeAlias = Callable[[npt.NDArray[Any]], Mapping[str, npt.NDArray[Any]]]
"""A batch as the network wants it → its outputs by name."""

_BATCH = 32
_CHANNELS = 3


@dataclass(frozen=True, slots=True, eq=False)
class TeacherNetwork:
    """A network ready to look at crops.

    Attributes:
        height_px: of the crops it takes.
        width_px: of the crops it takes.
        batch: how many it takes at once.
        embed: crops (batch, H, W, 3) RGB uint8 → (batch, T).
    """

    height_px: int
    width_px: int
    batch: int
    embed: Callable[[ImageBatch], FloatArray]


def embed_paths(teacher: Teacher, paths: Sequence[Path]) -> FloatArray:
    """Embeddings (N, T) float32 of unit norm, with a progress bar.

    Raises:
        TrainingError: the network or an image cannot be used.
    """
    network = open_teacher(teacher)
    parts = [paths[i : i + network.batch] for i in range(0, len(paths), network.batch)]
    title = f"teacher {teacher.path.name}"
    shown = bar(parts, title)
    return np.concatenate([_embed(network, part, mirror=teacher.mirror) for part in shown])


def _embed(network: TeacherNetwork, paths: Sequence[Path], *, mirror: bool) -> FloatArray:
    crops = [to_input(read_image(path), network.height_px, network.width_px) for path in paths]
    return embed_batch(network, np.concatenate(crops), mirror=mirror)


def embed_batch(network: TeacherNetwork, crops: ImageBatch, *, mirror: bool) -> FloatArray:
    """Unit embeddings (N, T) of at most `network.batch` crops (N, H, W, 3) of its size."""
    # A network may insist on its batch: what is missing is filled up with the last crop.
    batch = np.concatenate([crops, np.repeat(crops[-1:], network.batch - len(crops), axis=0)])
    rows = unit_rows(network.embed(batch))
    if mirror:
        rows = unit_rows(rows + unit_rows(network.embed(np.ascontiguousarray(batch[:, :, ::-1]))))
    return rows[: len(crops)]


def open_teacher(teacher: Teacher) -> TeacherNetwork:
    """Load a network by the ending of its file's name.

    Raises:
        TrainingError: the file is missing, of another kind, or not an embedding network.
    """
    teacher = _by_its_file(teacher)
    openers = {
        ".tflite": _open_tflite,
        ".onnx": _open_onnx,
        ".keras": _open_keras,
        ".xml": _open_openvino,
    }
    if teacher.path.suffix not in openers:
        raise TrainingError(
            f"teacher {teacher.path}: expected .npz, {', '.join(openers)}, got another ending"
        )
    if not teacher.path.is_file():
        raise TrainingError(f"teacher {teacher.path}: no such file")
    try:
        return openers[teacher.path.suffix](teacher)
    except ModelError as error:
        raise TrainingError(f"teacher: {error}") from error


def manifest_of(teacher: Teacher) -> EmbeddingManifest | None:
    """What our manifest says of a teacher; None: it has none, or is no longer where it was."""
    with suppress(TrainingError, ModelError):
        return load_embedding_manifest(_by_its_file(teacher).path)
    return None


def _by_its_file(teacher: Teacher) -> Teacher:
    """The teacher with a file's path where the recipe has the name of a shipped model."""
    try:
        return teacher.model_copy(update={"path": model_file(teacher.path, "embedding")})
    except ValueError as error:
        raise TrainingError(f"teacher: {error}") from error


def _open_tflite(teacher: Teacher) -> TeacherNetwork:
    if teacher.path.with_suffix(".json").is_file():
        return _open_ours(teacher)
    model = Model(teacher.path)

    def run(x: npt.NDArray[Any]) -> dict[str, FloatArray]:
        return {s.name: o for s, o in zip(model.outputs, model(x), strict=True)}

    image = model.inputs[0]
    return _adapted(teacher, image.shape, run, image.dtype if image.scale == 0 else None)


def _open_ours(teacher: Teacher) -> TeacherNetwork:
    """A model with our manifest, which knows all about its input."""
    if teacher != Teacher(path=teacher.path, mirror=teacher.mirror):
        raise TrainingError(
            f"teacher {teacher.path}: its manifest says how it is fed; leave all but path and "
            "mirror out"
        )
    embedder = Embedder(teacher.path)
    manifest = embedder.manifest
    return TeacherNetwork(
        manifest.input_height_px,
        manifest.input_width_px,
        _BATCH,
        lambda crops: np.asarray(embedder.embed(list(crops)), np.float32),
    )


def _open_onnx(teacher: Teacher) -> TeacherNetwork:
    try:
        import onnxruntime  # noqa: PLC0415 - only an .onnx teacher needs it
    except ImportError as error:
        raise TrainingError(
            f"teacher {teacher.path}: needs onnxruntime, not installed; pip install onnxruntime"
        ) from error
    try:
        session = onnxruntime.InferenceSession(
            str(teacher.path), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its exceptions have no common base but this
        reason = " ".join(str(error).split())
        raise TrainingError(f"teacher {teacher.path}: cannot be loaded: {reason}") from error
    (image, *others), outputs = session.get_inputs(), [o.name for o in session.get_outputs()]
    if others:
        raise TrainingError(f"teacher {teacher.path}: expected one input, it has {1 + len(others)}")
    dtype = {"tensor(uint8)": np.uint8, "tensor(float16)": np.float16}.get(image.type, np.float32)

    def run(x: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        return dict(zip(outputs, session.run(outputs, {image.name: x.astype(dtype)}), strict=True))

    shape = [n if isinstance(n, int) else None for n in image.shape]
    return _adapted(teacher, shape, run, np.dtype(dtype))


def _open_openvino(teacher: Teacher) -> TeacherNetwork:
    try:
        import openvino  # noqa: PLC0415 - only an .xml teacher needs it
    except ImportError as error:
        raise TrainingError(
            f"teacher {teacher.path}: needs openvino, not installed; pip install openvino"
        ) from error
    core = openvino.Core()
    try:
        network = core.read_model(teacher.path)
        (image,) = network.inputs
        shape = [n.get_length() if n.is_static else None for n in image.partial_shape]
        network.reshape([_BATCH, *list(image.partial_shape)[1:]])
        compiled = core.compile_model(network, "CPU")
    except Exception as error:  # whatever its C++ side raises
        reason = " ".join(str(error).split())
        raise TrainingError(f"teacher {teacher.path}: cannot be loaded: {reason}") from error

    def run(x: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        answers = compiled(x.astype(np.float32))
        return {output.any_name: answers[output] for output in compiled.outputs}

    return _adapted(teacher, [_BATCH, *shape[1:]], run)


def _open_keras(teacher: Teacher) -> TeacherNetwork:
    import keras  # noqa: PLC0415 - slow, and only a Keras teacher needs it

    from trainer.network import fake_quant, heads  # noqa: F401, PLC0415 - a file may hold our layers

    try:
        model = keras.saving.load_model(teacher.path, compile=False)
    except (ValueError, OSError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise TrainingError(f"teacher {teacher.path}: cannot be loaded: {reason}") from error
    if len(model.inputs) != 1:
        raise TrainingError(
            f"teacher {teacher.path}: expected one input, it has {len(model.inputs)}"
        )

    def run(x: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        outputs = model.predict_on_batch(x)
        if not isinstance(outputs, dict):
            several = outputs if isinstance(outputs, list | tuple) else [outputs]
            outputs = dict(zip(model.output_names, several, strict=True))
        return {name: keras.ops.convert_to_numpy(value) for name, value in outputs.items()}

    return _adapted(teacher, model.inputs[0].shape, run)


def _adapted(
    teacher: Teacher, shape: Shape, run: Run, dtype: np.dtype[Any] | None = None
) -> TeacherNetwork:
    """A network that knows nothing of crops, fed as its shape and the recipe's teacher say.

    `dtype` is that of its input; None where `run` sees to it.
    """
    if dtype == np.uint8 and (teacher.mean, teacher.std) != (0.0, 1.0):
        raise TrainingError(
            f"teacher {teacher.path}: takes pixels 0..255 as uint8; leave mean and std out"
        )
    channels_first = _is_channels_first(teacher, shape)
    height, width = shape[2:] if channels_first else shape[1:3]
    height_px, width_px = _size(teacher, height, width)

    def embed(crops: ImageBatch) -> FloatArray:
        ordered = crops if teacher.channel_order == "rgb" else crops[..., ::-1]
        x = (ordered - np.asarray(teacher.mean, np.float32)) / np.asarray(teacher.std, np.float32)
        outputs = run(np.ascontiguousarray(x.transpose(0, 3, 1, 2) if channels_first else x))
        return _vectors(teacher, outputs, len(crops))

    return TeacherNetwork(height_px, width_px, shape[0] or _BATCH, embed)


def _is_channels_first(teacher: Teacher, shape: Shape) -> bool:
    """Whether the input is (B, 3, H, W) rather than (B, H, W, 3)."""
    if len(shape) != 4 or _CHANNELS not in (shape[1], shape[3]):  # noqa: PLR2004
        raise TrainingError(
            f"teacher {teacher.path}: expected an input (B, H, W, 3) or (B, 3, H, W), got "
            f"{tuple(shape)}"
        )
    return shape[3] != _CHANNELS


def _size(teacher: Teacher, height: int | None, width: int | None) -> tuple[int, int]:
    if height is None or width is None:
        if teacher.size is None:
            raise TrainingError(
                f"teacher {teacher.path}: takes pictures of any size; say which with size: "
                "[height, width]"
            )
        return teacher.size
    if teacher.size not in (None, (height, width)):
        raise TrainingError(
            f"teacher {teacher.path}: expected size {list(teacher.size or ())}, the file takes "
            f"{[height, width]}; leave size out"
        )
    return height, width


def _vectors(teacher: Teacher, outputs: Mapping[str, npt.NDArray[Any]], count: int) -> FloatArray:
    """The output that is the embedding, (count, T)."""
    if (teacher.output is None and len(outputs) > 1) or teacher.output not in (None, *outputs):
        raise TrainingError(
            f"teacher {teacher.path}: expected output: one of {', '.join(outputs)}, got "
            f"{teacher.output or 'none named'}"
        )
    values = outputs[teacher.output or next(iter(outputs))]
    rows = values.reshape(count, -1).astype(np.float32) if values.shape[0] == count else values
    if max(values.shape[1:], default=0) != rows.shape[-1] or len(rows) != count:
        raise TrainingError(
            f"teacher {teacher.path}: expected a vector for each of {count} pictures, got "
            f"{values.shape}; name an output that is one"
        )
    if not np.isfinite(rows).all() or not rows.any(axis=1).all():
        raise TrainingError(
            f"teacher {teacher.path}: gives embeddings that are not finite or all zero; check "
            "mean, std and channel_order"
        )
    return rows
