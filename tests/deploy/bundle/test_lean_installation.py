"""edge-reid as a bundle installs it: with the embedding model of its site, and no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import campus, installed_wheels
from support.installed_wheels import Installation

from edge_reid.core.bundled_models import DETECTORS, EMBEDDING, OPEN_EMBEDDING, shipped_model
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.vision.annotate import VideoWriter

OPEN, LEFT_OUT = Path(OPEN_EMBEDDING).stem, Path(EMBEDDING).stem
WHAT_IS_SAID = (
    f"expected {LEFT_OUT} in this installation, got only {OPEN}, as a bundle leaves out what its "
    f"site does not name; name that one, or name {LEFT_OUT} in [agent.models] of site.toml and "
    "make the bundle anew"
)


@pytest.fixture(scope="module")
def lean(whole_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Of the bundle of a site that names the open model."""
    folder = tmp_path_factory.mktemp("lean")
    wheel = installed_wheels.for_site(whole_wheel, [OPEN_EMBEDDING], folder)
    return Installation(wheel, folder / "installed")


def agent(folder: Path, models: str) -> Path:
    """A configuration, for a few seconds of the clip."""
    path, film = folder / "agent.toml", folder / "film.mp4"
    pictures = campus.read_frames(set(range(40)))
    height, width = pictures[0].shape[:2]
    with VideoWriter(film, campus.FPS, (width, height)) as writer:
        for picture in pictures.values():
            writer.write(picture)
    source = f'[source]\nuri = "{film}"\n'
    named = 'site = "lab"\ncamera = "gate"\ngallery = "people.db"\n'
    path.write_text(f"{named}{source}{models}", encoding="utf-8")
    return path


def test_the_model_of_the_site_is_the_default_and_has_its_name(
    lean: Installation, tmp_path: Path
) -> None:
    for words in ((), ("--model", OPEN)):
        doctor = lean.edge_reid("doctor", *words, cwd=tmp_path)
        assert (doctor.code, "all well" in doctor.out) == (0, True), doctor.out + doctor.err
        assert f"{OPEN}, model_id" in doctor.out
    made = lean.edge_reid("gallery", "init", "people.db", cwd=tmp_path)
    assert f"an empty gallery for model {OPEN} (" in made.out, made.err


def test_the_agent_runs_with_it(lean: Installation, tmp_path: Path) -> None:
    config = agent(tmp_path, f'[models]\nembedding = "{OPEN}"\n')
    assert lean.edge_reid("gallery", "init", "people.db", cwd=tmp_path).code == 0
    ran = lean.edge_reid("run", "--config", config, "--events", "events.jsonl", cwd=tmp_path)
    assert ran.code == 0, ran.err
    models = {
        event["model_id"]
        for line in (tmp_path / "events.jsonl").read_text().splitlines()
        if "model_id" in (event := json.loads(line))
    }
    assert models == {load_embedding_manifest(shipped_model(OPEN_EMBEDDING)).model_id}


def test_a_model_that_was_left_out_is_one_line(lean: Installation, tmp_path: Path) -> None:
    refused = lean.edge_reid("gallery", "init", "people.db", "--model", EMBEDDING, cwd=tmp_path)
    assert (refused.code, refused.complaint) == (2, f"error: --model: {WHAT_IS_SAID}")
    config = agent(tmp_path, f'[models]\nembedding = "{LEFT_OUT}"\n')
    for words in ("run", "doctor --offline"):
        refused = lean.edge_reid(*words.split(), "--config", config, cwd=tmp_path)
        assert refused.code == 2
        assert refused.complaint.endswith(f"1 mistake: models.embedding: {WHAT_IS_SAID}")
    assert not (tmp_path / "people.db").exists()


def test_an_unknown_name_is_answered_with_what_is_here(lean: Installation, tmp_path: Path) -> None:
    refused = lean.edge_reid("gallery", "init", "people.db", "--model", "person", cwd=tmp_path)
    assert refused.complaint.endswith(f'got "person"; shipped are {OPEN} (the default)')


def test_the_doctor_looks_at_a_camera_with_every_detector(
    lean: Installation, tmp_path: Path
) -> None:
    words = ("doctor", "--camera", campus.CLIP, "--seconds", "1")
    looked = lean.edge_reid(*words, cwd=tmp_path)
    assert looked.code == 0, looked.out + looked.err
    for size in ("512x288", "320x192", "384x384", "640x640"):
        assert size in looked.out
    assert "not tried" not in looked.out


def test_a_site_with_a_model_of_its_own_has_none_by_name(whole_wheel: Path, tmp_path: Path) -> None:
    wheel = installed_wheels.for_site(whole_wheel, [], tmp_path)
    bare = Installation(wheel, tmp_path / "installed")
    refused = bare.edge_reid("gallery", "init", "people.db", cwd=tmp_path)
    assert refused.code == 1
    assert refused.complaint == (
        f"error: model: expected {LEFT_OUT} in this installation, got no embedding model by name, "
        "as a bundle leaves out what its site does not name; give a path, or name "
        f"{LEFT_OUT} in [agent.models] of site.toml and make the bundle anew"
    )
    mine = shipped_model(EMBEDDING)
    made = bare.edge_reid("gallery", "init", "people.db", "--model", mine, cwd=tmp_path)
    assert made.code == 0, made.err


def test_the_doctor_says_which_detector_it_could_not_try(whole_wheel: Path, tmp_path: Path) -> None:
    other = Installation(whole_wheel, tmp_path / "installed")
    gone = Path(DETECTORS[0])
    (other.folder / "edge_reid/models" / gone).unlink()
    words = ("doctor", "--camera", campus.CLIP, "--seconds", "1")
    said = " ".join(other.edge_reid(*words, cwd=tmp_path).out.split())
    assert f"not tried, as this installation does not have them: {gone.stem}" in said
    assert "320×192" not in said
