"""One class over two TFLite runtimes: same answers, real values in and out, one-line errors."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edge_reid.core.bundled_models import DETECTOR, shipped_model
from edge_reid.core.errors import ModelError
from edge_reid.vision import runtime
from edge_reid.vision.runtime import Model, TensorSpec, available_runtimes

MODEL = shipped_model(DETECTOR)


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (1, 288, 512, 3), np.uint8)


def test_a_model_tells_what_it_takes_and_gives(runtime_name: str) -> None:
    model = Model(MODEL, runtime=runtime_name)

    assert model.runtime == runtime_name
    (image,) = model.inputs
    assert (image.shape, image.dtype, image.scale) == ((1, 288, 512, 3), np.float32, 0)
    assert {spec.shape for spec in model.outputs} == {(1, 3024, 44), (1, 3024, 1)}


def test_the_same_picture_gives_the_same_numbers_in_memory_of_their_own(
    runtime_name: str, picture: np.ndarray
) -> None:
    model = Model(MODEL, runtime=runtime_name)

    first = model(picture)
    kept = [output.copy() for output in first]
    model(np.zeros_like(picture))
    again = Model(MODEL, runtime=runtime_name)(picture)

    for output, copy, repeated in zip(first, kept, again, strict=True):
        assert output.dtype == np.float32
        np.testing.assert_array_equal(output, copy)
        np.testing.assert_array_equal(output, repeated)


@pytest.mark.parametrize("at_once", [1, 2])
def test_threads_that_share_a_model_each_have_the_numbers_of_their_own_picture(
    runtime_name: str, at_once: int
) -> None:
    alone, shared = (
        Model(MODEL, runtime=runtime_name),
        Model(MODEL, runtime=runtime_name, at_once=at_once),
    )
    pictures = [np.full((1, 288, 512, 3), 30 * number, np.uint8) for number in range(8)]
    expected = [alone(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(shared, pictures * 3))
    for outputs, others in zip(found, expected * 3, strict=True):
        for output, other in zip(outputs, others, strict=True):
            np.testing.assert_array_equal(output, other)


def test_both_runtimes_agree(both_runtimes: tuple[str, str], picture: np.ndarray) -> None:
    litert, tflite = (Model(MODEL, runtime=name)(picture) for name in both_runtimes)
    for a, b in zip(litert, tflite, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.999


def test_auto_takes_the_first_runtime_installed() -> None:
    assert Model(MODEL).runtime == available_runtimes()[0]


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point"), [(np.uint8, 0.5, 10), (np.int8, 0.02, -3), (np.uint8, 1.0, 0)]
)
def test_quantising_and_back_stays_within_half_a_step(
    dtype: type, scale: float, zero_point: int
) -> None:
    spec = TensorSpec("x", (1, 5), np.dtype(dtype), scale, zero_point)
    limits = np.iinfo(dtype)
    lowest, highest = ((limit - zero_point) * scale for limit in (limits.min, limits.max))
    values = np.linspace(lowest, highest, 1001, dtype=np.float32)

    stored = runtime._quantised(values, spec)
    real = runtime._dequantised(stored, spec)

    assert stored.dtype == dtype
    assert np.abs(real - values).max() <= scale / 2 * 1.0001
    clipped = runtime._quantised(np.float32([highest + 9, lowest - 9]), spec)
    assert clipped.tolist() == [limits.max, limits.min]


def test_pixels_enter_a_model_of_scale_one_as_they_are() -> None:
    spec = TensorSpec("image", (4,), np.dtype(np.uint8), 1.0, 0)
    pixels = np.array([0, 1, 127, 255], np.uint8)
    assert runtime._quantised(pixels, spec) is pixels


def test_a_file_that_is_no_model(tmp_path: Path, runtime_name: str) -> None:
    path = tmp_path / "notes.tflite"
    path.write_text("not a model at all")
    with pytest.raises(
        ModelError, match=r"notes\.tflite: expected a \.tflite file, this is not one"
    ):
        Model(path, runtime=runtime_name)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.tflite: cannot be read: No such file"):
        Model(tmp_path / "gone.tflite")


def test_a_truncated_model(tmp_path: Path) -> None:
    path = tmp_path / "half.tflite"
    path.write_bytes(MODEL.read_bytes()[:100_000])
    with pytest.raises(ModelError, match=r"half\.tflite: is damaged or forged: ") as caught:
        Model(path)
    assert "\n" not in str(caught.value)


def test_a_runtime_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_PACKAGES", {"litert": "no_such_package"})
    with pytest.raises(ModelError, match=r"runtime litert: not installed \(found: none\)"):
        Model(MODEL)


def test_a_runtime_that_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "broken_runtime"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text("raise ImportError('built for another NumPy')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(runtime, "_PACKAGES", {"litert": "broken_runtime"})
    with pytest.raises(
        ModelError, match="installed but cannot be imported: built for another NumPy"
    ):
        Model(MODEL)


def test_loading_a_model_prints_nothing(runtime_name: str) -> None:
    code = f"""
from pathlib import Path
from edge_reid.vision.runtime import Model
Model(Path({str(MODEL)!r}), runtime={runtime_name!r})
"""
    assert in_fresh_process(code) == ("", "")


def test_what_is_not_a_notice_still_reaches_standard_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with runtime._notices_withheld():
        os.write(2, b"INFO: Created delegate.\nERROR: something is wrong\n")
    assert capfd.readouterr().err == "ERROR: something is wrong\n"


def test_no_runtime_is_imported_before_a_model_is_loaded() -> None:
    look = "print([name for name in sys.modules if name.endswith('.interpreter')])"
    printed, _ = in_fresh_process(f"import sys, edge_reid.vision.runtime; {look}")
    assert printed == "[]\n"


def in_fresh_process(code: str) -> tuple[str, str]:
    """What Python prints to standard output and standard error when it runs the code."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout, done.stderr
