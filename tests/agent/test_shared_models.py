"""Each model file is loaded once, whatever cameras use it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_reid.agent import shared_models
from edge_reid.agent.shared_models import SharedModels
from edge_reid.core.bundled_models import shipped_model
from edge_reid.core.config.agent_settings import AgentSettings
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
