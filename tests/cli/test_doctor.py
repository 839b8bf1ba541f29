"""What `edge-reid doctor` finds, and what it says to do."""

from __future__ import annotations

import shutil

import campus
import pytest
from mosquitto import free_port

from edge_reid.core.shipped import EMBEDDING, shipped_model


def test_a_sound_installation_is_all_well(edge_reid, tmp_path, samples):
    gallery = tmp_path / "gallery.db"
    edge_reid("gallery", "init", gallery)
    name, photos = next(iter(samples.items()))
    edge_reid("gallery", "enroll", name, photos[0].crop, "--gallery", gallery)
    outcome = edge_reid("doctor", "--gallery", gallery, "--source", campus.CLIP)
    assert outcome.code == 0
    assert "all well" in outcome.out
    assert outcome.out.count("checksum good") == 2
    assert "1 identities" in outcome.out
    assert "768×576" in outcome.out


def test_a_threshold_beyond_what_was_measured_is_a_warning(edge_reid, tmp_path, samples):
    gallery = tmp_path / "gallery.db"
    edge_reid("gallery", "init", gallery)
    name, photos = next(iter(samples.items()))
    edge_reid("gallery", "enroll", name, photos[0].crop, "--gallery", gallery)
    config = tmp_path / "agent.toml"
    config.write_text(
        f'site = "lab"\ncamera = "gate"\ngallery = "{gallery}"\n'
        f'[source]\nuri = "{campus.CLIP}"\n[decide]\ntarget_fpir = 0.000001\n'
    )
    outcome = edge_reid("doctor", "--config", config)
    assert outcome.code == 0
    said = " ".join(outcome.out.split())  # long lines are broken
    assert "for FPIR 1e-06 lies beyond what was measured" in said
    assert "edge-reid calibrate" in said


@pytest.mark.broker
def test_a_broker_that_lets_us_in(edge_reid, broker):
    outcome = edge_reid("doctor", "--broker", broker.url)
    assert outcome.code == 0
    assert f"{broker.url} lets us in" in outcome.out


def test_every_fault_is_named_and_the_rest_still_checked(edge_reid, tmp_path):
    model = tmp_path / "model.tflite"
    shutil.copy(shipped_model(EMBEDDING), model)
    shutil.copy(shipped_model(EMBEDDING).with_suffix(".json"), tmp_path / "model.json")
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    (tmp_path / "gallery.db").write_text("not a gallery")
    outcome = edge_reid(
        *("doctor", "--model", model, "--gallery", tmp_path / "gallery.db"),
        *("--source", tmp_path / "no.mp4", "--broker", f"mqtt://127.0.0.1:{free_port()}"),
    )
    assert outcome.code == 1
    for mark in (
        "✗ embedding model",
        "✗ gallery",
        "✗ source",
        "✗ broker",
        "✓ detector",
        "✓ runtime",
    ):
        assert mark in outcome.out
    assert "4 to mend" in outcome.out


def test_an_empty_gallery_is_only_a_warning(edge_reid, tmp_path):
    gallery = tmp_path / "gallery.db"
    edge_reid("gallery", "init", gallery)
    outcome = edge_reid("doctor", "--gallery", gallery)
    assert outcome.code == 0
    assert "nobody is enrolled" in outcome.out
    assert "edge-reid gallery enroll" in outcome.out
