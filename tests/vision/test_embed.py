"""Crops to unit vectors, by the shipped model."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_reid.core.bundled_models import DETECTOR, EMBEDDING, shipped_model
from edge_reid.core.errors import ModelError, PhotoError
from edge_reid.core.manifest import EmbeddingManifest, write_manifest
from edge_reid.vision.embed import Embedder
from edge_reid.vision.grey_world import balanced
from edge_reid.vision.preprocess import to_input
from edge_reid.vision.runtime import Model

MODEL = shipped_model(EMBEDDING)


@pytest.fixture(scope="module")
def crops() -> list[np.ndarray]:
    """Blurred noise of three sizes: not people, but different from each other."""
    rng = np.random.default_rng(3)
    sizes = (190, 80), (96, 48), (420, 200)
    coarse = [
        rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8) for height, width in sizes
    ]
    return [crop.repeat(8, axis=0).repeat(8, axis=1) for crop in coarse]


@pytest.fixture
def copied(tmp_path: Path) -> Callable[..., Path]:
    """The shipped model under another roof, its manifest changed as told."""

    def copy(**changes: Any) -> Path:
        path = tmp_path / "model.tflite"
        shutil.copy(MODEL, path)
        manifest = EmbeddingManifest.model_validate_json(MODEL.with_suffix(".json").read_bytes())
        write_manifest(manifest.model_copy(update=changes), path)
        return path

    return copy


def test_rows_are_unit_vectors_in_the_order_of_the_crops(crops: list[np.ndarray]) -> None:
    embedder = Embedder(MODEL)

    vectors = embedder.embed(crops)

    assert vectors.shape == (3, embedder.manifest.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    one_by_one = [embedder.embed([crop])[0] for crop in reversed(crops)]
    np.testing.assert_array_equal(vectors, one_by_one[::-1])


def test_an_embedding_is_the_model_output_at_unit_length(crops: list[np.ndarray]) -> None:
    embedder, model = Embedder(MODEL), Model(MODEL)
    height, width = embedder.manifest.input_height_px, embedder.manifest.input_width_px
    fed = balanced(to_input(crops[0], height, width)[0], embedder.manifest.grey_world)
    (output,) = model(fed[None])
    expected = output[0] / np.sqrt(np.sum(np.square(output[0], dtype=np.float64)))
    np.testing.assert_allclose(embedder.embed(crops[:1])[0], expected, atol=1e-6)


def test_a_manifest_says_how_much_of_a_colour_cast_is_taken_out(
    copied: Callable[..., Path], crops: list[np.ndarray]
) -> None:
    half, plain = (Embedder(copied(grey_world=share)) for share in (0.5, 0.0))
    size = half.manifest.input_height_px, half.manifest.input_width_px
    by_hand = [balanced(to_input(crop, *size)[0], 0.5) for crop in crops]
    np.testing.assert_array_equal(half.embed(crops), plain.embed(by_hand))


def test_different_pictures_lie_apart(crops: list[np.ndarray]) -> None:
    similarity = Embedder(MODEL).embed(crops) @ Embedder(MODEL).embed(crops).T
    np.testing.assert_allclose(np.diag(similarity), 1, atol=1e-5)
    assert similarity[0, 1] < 0.99


def test_no_crops_give_no_rows() -> None:
    embedder = Embedder(MODEL)
    assert embedder.embed([]).shape == (0, embedder.manifest.dimension)


def test_an_empty_crop_is_refused(crops: list[np.ndarray]) -> None:
    with pytest.raises(PhotoError, match=r"expected an RGB picture, .* got uint8 \(0, 5, 3\)"):
        Embedder(MODEL).embed([crops[0], crops[0][:0, :5]])


def test_both_runtimes_agree(both_runtimes: tuple[str, str], crops: list[np.ndarray]) -> None:
    litert, tflite = (Embedder(MODEL, runtime=name).embed(crops) for name in both_runtimes)
    assert np.sum(litert * tflite, axis=1).min() > 0.98


def test_a_detector_is_not_an_embedding_model() -> None:
    with pytest.raises(
        ModelError, match="expected an embedding model, its manifest says 'detector'"
    ):
        Embedder(shipped_model(DETECTOR))


def test_a_manifest_of_another_file(copied: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match="its manifest expects sha256 0000000000000000…"):
        Embedder(copied(sha256="0" * 64))


@pytest.mark.parametrize("change", [{"input_height_px": 200}, {"dimension": 17}])
def test_a_manifest_that_describes_another_model(
    copied: Callable[..., Path], change: dict[str, int]
) -> None:
    with pytest.raises(ModelError, match=r"its manifest expects uint8 .* export the model again"):
        Embedder(copied(**change))
