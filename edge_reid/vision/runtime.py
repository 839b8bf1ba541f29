"""The one file that imports a TFLite runtime, and the one place that quantises and dequantises."""

from __future__ import annotations

import importlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_reid.core.config.vision_settings import RuntimeName
from edge_reid.core.errors import ModelError
from edge_reid.vision.model_file import check_model_file

_PACKAGES: Mapping[str, str] = {"litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}
"""Name of each runtime and the package it lives in; `auto` takes the first installed."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a model. Real value = (stored value - zero_point) x scale."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    """0 when the tensor is not quantised."""
    zero_point: int


class Model:
    """A `.tflite` file ready to run on the CPU. Any thread may use it; it waits for its turn.

    Give it files whose checksum was verified (`core.manifest`). Their inside is checked here, as
    tflite-runtime 2.14 does not, and one wrong offset takes the whole process down.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    runtime: str
    """The runtime in force: `litert` or `tflite-runtime`."""

    def __init__(
        self, path: Path, *, runtime: RuntimeName = "auto", threads: int = 1, at_once: int = 1
    ) -> None:
        """Load the file and reserve its memory.

        Args:
            path: of the file.
            runtime: which one is to run it.
            threads: of one run.
            at_once: runs of several threads at the same time; each more takes the memory of the
                model, weights and all, once more.

        Raises:
            ModelError: no such runtime here, or the file is missing, corrupt or needs operations
                that the runtime does not have.
        """
        check_model_file(path)
        self.runtime = _choose(runtime)
        interpreters = [_load(path, self.runtime, threads) for _ in range(at_once)]
        inputs = interpreters[0].get_input_details()
        outputs = interpreters[0].get_output_details()
        self.inputs, self.outputs = _specs(inputs), _specs(outputs)
        if len(inputs) != 1:
            raise ModelError(f"model {path}: expected one input, it has {len(inputs)}")
        self._input_index = inputs[0]["index"]
        self._output_indices = tuple(item["index"] for item in outputs)
        self._free: SimpleQueue[Any] = SimpleQueue()
        for interpreter in interpreters:
            self._free.put(interpreter)

    def __call__(self, x: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
        """Run once on real values (pixels 0..255), shaped like the input.

        Returns:
            The outputs as real values, float32, in the order of the file, as copies.
        """
        values = _quantised(x, self.inputs[0])
        interpreter = self._free.get()
        try:
            interpreter.set_tensor(self._input_index, values)
            interpreter.invoke()
            outputs = [interpreter.get_tensor(index) for index in self._output_indices]
        finally:
            self._free.put(interpreter)
        return tuple(map(_dequantised, outputs, self.outputs))


def available_runtimes() -> tuple[str, ...]:
    """Names of the TFLite runtimes installed here, the preferred one first."""
    return tuple(name for name, package in _PACKAGES.items() if importlib.util.find_spec(package))


def _choose(runtime: RuntimeName) -> str:
    available = available_runtimes()
    wanted = runtime if runtime != "auto" else next(iter(available), "litert")
    if wanted not in available:
        found = ", ".join(available) or "none"
        advice = _PACKAGES[wanted].replace("_", "-")
        raise ModelError(f"runtime {wanted}: not installed (found: {found}); pip install {advice}")
    return wanted


def _load(path: Path, runtime: str, threads: int) -> Any:
    try:
        module = importlib.import_module(f"{_PACKAGES[runtime]}.interpreter")
    except ImportError as error:  # such as tflite-runtime beside NumPy 2
        raise ModelError(f"runtime {runtime}: installed but cannot be imported: {error}") from error
    try:
        with _notices_withheld():
            interpreter = module.Interpreter(model_path=str(path), num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"model {path}: {runtime} cannot load it: {reason}") from error
    return interpreter


def _specs(details: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            name=item["name"],
            shape=tuple(int(side) for side in item["shape"]),
            dtype=np.dtype(item["dtype"]),
            scale=float(item["quantization"][0]),
            zero_point=int(item["quantization"][1]),
        )
        for item in details
    )


def _quantised(x: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    if spec.scale == 0 or (spec.scale, spec.zero_point, spec.dtype) == (1, 0, x.dtype):
        return x.astype(spec.dtype, copy=False)
    limits = np.iinfo(spec.dtype)
    steps = np.rint(x / np.float32(spec.scale)) + spec.zero_point
    return np.asarray(np.clip(steps, limits.min, limits.max), spec.dtype)


def _dequantised(values: NDArray[Any], spec: TensorSpec) -> NDArray[np.float32]:
    if spec.scale == 0:
        return values.astype(np.float32, copy=False)
    return (values.astype(np.float32) - spec.zero_point) * np.float32(spec.scale)


@contextmanager
def _notices_withheld() -> Iterator[None]:
    """Keep the runtimes' `INFO:` lines off standard error; whatever else they write is passed on.

    They are written from C++ to file descriptor 2 and have no switch, hence the detour.
    """
    with tempfile.TemporaryFile() as held:
        standard_error = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
            held.seek(0)
            for line in held.read().splitlines(keepends=True):
                if not line.startswith(b"INFO: "):
                    os.write(2, line)
