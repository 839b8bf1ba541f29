"""torch's weight files, read without torch, and able to do nothing but be read."""

from __future__ import annotations

import collections
import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import TrainingError
from edge_reid.core.files import UNREADABLE_ZIP

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGE_DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "DoubleStorage": np.dtype("<f8"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}
_NO_WEIGHTS = (
    *UNREADABLE_ZIP,
    pickle.UnpicklingError,
    AttributeError,
    TypeError,
)
"""What a file that is something else, or is cut, leads to."""


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
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        if min(self.offset, *self.strides, *self.shape, 0) < 0 or last >= len(self.storage.values):
            # as_strided would read whatever lies in memory behind it.
            raise ValueError("a tensor reaches past the numbers that are there; the file is cut")
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
    except OSError as error:
        raise TrainingError(f"weights {path}: cannot be read: {error.strerror}") from error
    except _NO_WEIGHTS as error:
        raise TrainingError(
            f"weights {path}: expected the weights of a torch state dict, got a damaged file or "
            f"another kind ({error}); fetch it again"
        ) from error


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
