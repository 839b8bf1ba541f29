"""Each model file is loaded once, whatever cameras use it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge_reid.agent import shared_models
from edge_reid.agent.shared_models import SharedModels, sound_shipped_model
from edge_reid.core import bundled_models
from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.vision_settings import ModelSettings
from edge_reid.core.errors import ModelError
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.signing.keys import SigningKey
from edge_reid.signing.model_signature import sign_model
from edge_reid.vision.detect import Detector, load_detector

OTHER = shipped_model("person_detection_0201_384x384.tflite")


def settings(folder: Path) -> AgentSettings:
    near = {"model": OTHER, "strong_score": 0.7, "weak_score": 0.3}
    cameras = {
        "gate": {"source": {"uri": "0"}, "detect": {"strong_score": 0.6}},
        "door": {"source": {"uri": "1"}},
        "yard": {"source": {"uri": "2"}, "detect": near},
    }
    return AgentSettings.model_validate(
        {"site": "lab", "gallery": folder / "gallery.db", "cameras": cameras}
    )


def test_cameras_share_a_file_and_each_has_its_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Path] = []

    def noted(path: Path, **more: object) -> Detector:
        loaded.append(path)
        return load_detector(path, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(shared_models, "load_detector", noted)
    models = SharedModels(settings(tmp_path))
    assert len(loaded) == 2
    gate, door, yard = (models.detector_of(name) for name in ("gate", "door", "yard"))
    assert gate.manifest is door.manifest
    assert (gate.strong_score, door.strong_score) == (0.6, door.manifest.strong_score)
    assert yard.manifest.name != door.manifest.name
    assert (yard.strong_score, yard.weak_score) == (0.7, 0.3)


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its one embedding model."""
    folder = tmp_path / "models"
    folder.mkdir()
    for suffix in (".tflite", ".json"):
        shutil.copy(shipped_model(EMBEDDING).with_suffix(suffix), folder)
    monkeypatch.setattr(bundled_models, "_PACKAGE", tmp_path / "edge_reid")
    return folder / EMBEDDING


def test_a_model_that_the_agent_could_run_is_whole_and_signed(installation: Path) -> None:
    manifest = load_embedding_manifest(installation)
    key, (_, public) = SigningKey.generate(), SigningKey.generate().write(installation.parent)
    pinned = ModelSettings(public_key=public)
    assert sound_shipped_model(pinned, manifest.model_id) == manifest
    assert sound_shipped_model(pinned, "f" * 16) is None
    signature = sign_model(installation.with_suffix(".json").read_bytes(), key)
    installation.with_suffix(".sig").write_bytes(signature)
    with pytest.raises(ModelError, match="one of another key"):
        sound_shipped_model(pinned, manifest.model_id)
    assert sound_shipped_model(ModelSettings(), manifest.model_id) == manifest
    installation.write_bytes(installation.read_bytes()[:-1])
    with pytest.raises(ModelError, match=installation.name):
        sound_shipped_model(ModelSettings(), manifest.model_id)
