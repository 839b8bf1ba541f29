"""ImageNet weights into our backbone: a local torchvision `.pth`, read without torch, or Keras."""

from __future__ import annotations

import collections
import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import keras
import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import TrainingError
from trainer.backbone import BLOCK_COUNT, EPSILON

_KERAS_EPSILON = 1e-3

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGE_DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "DoubleStorage": np.dtype("<f8"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}
# torchvision normalises (x/255 - mean) / std; our first layer gives x/127.5 - 1.
_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)


class _Storage:
    """A flat torch storage: filled when its bytes have been read."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.values: npt.NDArray[Any] = np.empty(0, dtype)


class _Tensor:
    """What `torch._utils._rebuild_tensor_v2` is asked to rebuild: a strided view of a storage."""

    def __init__(
        self,
        storage: _Storage,
        offset: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        *_: Any,
    ) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def numpy(self) -> npt.NDArray[Any]:
        item = self.storage.dtype.itemsize
        view = np.lib.stride_tricks.as_strided(
            self.storage.values[self.offset :], self.shape, [s * item for s in self.strides]
        )
        return np.array(view)


class _TensorUnpickler(pickle.Unpickler):
    """Unpickles a state dict and nothing else: any other global is refused, so no code can run."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in _STORAGE_DTYPES:
            return _STORAGE_DTYPES[name]
        raise pickle.UnpicklingError(f"a weights file may not name {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        _kind, dtype, key = pid[:3]
        return self.storages.setdefault(str(key), _Storage(dtype))


def read_torch_state(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a torch state dict by name, in torch's layout (convolutions O, I, H, W).

    Reads both formats of `torch.save`: the legacy stream (before 1.6) and the zip archive.
    """
    try:
        if zipfile.is_zipfile(path):
            tensors = _read_zip(path)
        else:
            with path.open("rb") as file:
                tensors = _read_legacy(file)
        return {name: t.numpy() for name, t in tensors.items() if isinstance(t, _Tensor)}
    except (OSError, pickle.UnpicklingError, ValueError, KeyError, EOFError, struct.error) as error:
        raise TrainingError(f"weights {path}: expected torch weights: {error}") from error


def _read_legacy(file: BinaryIO) -> Mapping[str, Any]:
    if _TensorUnpickler(file).load() != _LEGACY_MAGIC:
        raise pickle.UnpicklingError("not a torch weights file (wrong magic number)")
    for _ in ("protocol", "system"):
        _TensorUnpickler(file).load()
    state = _TensorUnpickler(file)
    tensors: Mapping[str, Any] = state.load()
    for key in _TensorUnpickler(file).load():
        storage = state.storages[str(key)]
        (count,) = struct.unpack("<q", file.read(8))
        raw = file.read(count * storage.dtype.itemsize)
        storage.values = np.frombuffer(raw, storage.dtype)
    return tensors


def _read_zip(path: Path) -> Mapping[str, Any]:
    with zipfile.ZipFile(path) as archive:
        (index,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
        state = _TensorUnpickler(io.BytesIO(archive.read(index)))
        tensors: Mapping[str, Any] = state.load()
        for key, storage in state.storages.items():
            raw = archive.read(f"{index.removesuffix('.pkl')}/{key}")
            storage.values = np.frombuffer(raw, storage.dtype)
    return tensors


def load_torchvision(backbone: keras.Model, path: Path, alpha: float) -> None:
    """Set the weights of torchvision's `mobilenet_v2` from its local `.pth` file.

    The ImageNet mean and standard deviation go into the stem, which then expects x/127.5 - 1
    like every other weight source.  (Exact inside the picture; at the border the zero padding is
    mid-grey instead of the ImageNet mean.)
    """
    if alpha != 1.0:
        raise TrainingError(f"weights {path}: torchvision has α = 1 only, the recipe asks {alpha}")
    state = read_torch_state(path)
    for name, source in _torchvision_names().items():
        conv, norm = source
        kernel = state[f"{conv}.weight"].transpose(2, 3, 1, 0)
        if name.endswith("depthwise"):
            kernel = kernel.transpose(0, 1, 3, 2)
        gamma, beta, mean, variance = (
            state[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        if name == "stem":
            # (x/255 - m)/s = u/(2s) + (1/2 - m)/s with u = x/127.5 - 1; the constant moves into
            # the moving mean of the BatchNorm that follows.
            constant = ((0.5 - _IMAGENET_MEAN) / _IMAGENET_STD)[:, None]
            mean = mean - (kernel * constant).sum((0, 1, 2))
            kernel = kernel / (2 * _IMAGENET_STD)[:, None]
        backbone.get_layer(f"{name}_conv").set_weights([kernel])
        backbone.get_layer(f"{name}_bn").set_weights([gamma, beta, mean, variance])


def _torchvision_names() -> dict[str, tuple[str, str]]:
    """Our layer prefix → torchvision's names of the convolution and of its BatchNorm."""
    names = {"stem": ("features.0.0", "features.0.1"), "last": ("features.18.0", "features.18.1")}
    for index in range(1, BLOCK_COUNT + 1):
        conv = f"features.{index}.conv"
        parts = ["depthwise"] if index == 1 else ["expand", "depthwise"]
        for position, part in enumerate(parts):
            names[f"block{index}_{part}"] = (f"{conv}.{position}.0", f"{conv}.{position}.1")
        names[f"block{index}_project"] = (f"{conv}.{len(parts)}", f"{conv}.{len(parts) + 1}")
    return names


def load_keras_applications(backbone: keras.Model, alpha: float) -> None:
    """Download (or take from Keras' cache) the ImageNet weights of `keras.applications`."""
    try:
        source = keras.applications.MobileNetV2(
            input_shape=(224, 224, 3), alpha=alpha, include_top=False, weights="imagenet"
        )
    except ValueError as error:
        raise TrainingError(f"ImageNet weights for α = {alpha}: {error}") from error
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise TrainingError(
            f"ImageNet weights: cannot be downloaded ({error}); give a local torchvision .pth or "
            "our .npz with --start"
        ) from error
    theirs = [layer for layer in source.layers if layer.weights]
    ours = [layer for layer in backbone.layers if layer.weights]
    # Ours goes on past theirs with the embedding.
    for target, origin in zip(ours, theirs, strict=False):
        target.set_weights(_with_our_epsilon(origin))


def _with_our_epsilon(layer: keras.Layer) -> list[npt.NDArray[np.float32]]:
    """A layer's weights; BatchNorm's scale is changed so that our smaller epsilon gives the same.

    γ/√(v + ε₁) = γ'/√(v + ε₂) with γ' = γ·√((v + ε₂)/(v + ε₁)).
    """
    values: list[npt.NDArray[np.float32]] = layer.get_weights()
    if isinstance(layer, keras.layers.BatchNormalization):
        gamma, beta, mean, variance = values
        gamma = gamma * np.sqrt((variance + EPSILON) / (variance + _KERAS_EPSILON))
        return [gamma, beta, mean, variance]
    return values
