"""What is promised of every file in models/: a true manifest, a card, and that it runs here."""

from pathlib import Path

import numpy as np
import pytest

from edge_reid.core.bundled_models import (
    DETECTOR,
    DETECTORS,
    EMBEDDING,
    EMBEDDINGS,
    SMALLER_EMBEDDING,
    shipped_model,
)
from edge_reid.core.manifest import (
    EmbeddingManifest,
    file_sha256,
    load_detector_manifest,
    load_embedding_manifest,
    manifest_path,
)
from edge_reid.vision.runtime import Model

FOLDER = Path(__file__).resolve().parents[2] / "models"
MODELS = sorted(FOLDER.glob("*.tflite"))

every_model = pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)


def test_the_defaults_are_shipped() -> None:
    assert load_detector_manifest(shipped_model(DETECTOR)).licence
    for name in (EMBEDDING, SMALLER_EMBEDDING):
        assert load_embedding_manifest(shipped_model(name)).impostor_quantiles


def test_every_shipped_detector_says_whom_it_finds() -> None:
    found = {path.name for path in MODELS if '"detector"' in manifest_path(path).read_text("utf-8")}
    assert found == set(DETECTORS)
    for name in DETECTORS:
        rows = load_detector_manifest(shipped_model(name)).recall_by_height
        assert [row.below_px for row in rows[:-1]] == [row.from_px for row in rows[1:]]
        assert max(row.recall for row in rows) > 0.9


def test_every_shipped_embedding_model_can_be_named() -> None:
    found = {
        path.name for path in MODELS if '"embedding"' in manifest_path(path).read_text("utf-8")
    }
    assert found == set(EMBEDDINGS)


def test_every_manifest_has_its_model() -> None:
    manifests = {
        path.stem for path in FOLDER.glob("*.json") if path.suffixes != [".recipe", ".json"]
    }
    assert manifests <= {path.stem for path in MODELS}


@every_model
def test_the_manifest_is_true(path: Path) -> None:
    is_embedding = '"embedding"' in manifest_path(path).read_text(encoding="utf-8")
    load = load_embedding_manifest if is_embedding else load_detector_manifest
    manifest = load(path)
    assert manifest.name == path.stem
    assert manifest.sha256 == file_sha256(path)
    assert manifest.licence
    assert manifest.source
    if isinstance(manifest, EmbeddingManifest):
        shares = [share for share, _ in manifest.impostor_quantiles]
        similarities = [similarity for _, similarity in manifest.impostor_quantiles]
        assert shares == sorted(shares, reverse=True)
        assert similarities == sorted(similarities)


@every_model
def test_the_card_is_about_this_very_file(path: Path) -> None:
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert file_sha256(path)[:16] in card


@every_model
def test_it_runs_on_every_runtime(path: Path, runtime_name: str) -> None:
    model = Model(path, runtime=runtime_name)
    for output in model(np.full(model.inputs[0].shape, 127, np.uint8)):
        assert np.isfinite(output).all()


@every_model
def test_it_is_small_enough_for_a_wheel(path: Path) -> None:
    assert path.stat().st_size < 10e6
