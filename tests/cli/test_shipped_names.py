"""Models on the command line by the names of shipped ones, for every verb that takes a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_reid.core.bundled_models import SMALLER_EMBEDDING, shipped_model
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.gallery.store import GalleryStore

NAME = SMALLER_EMBEDDING.removesuffix(".tflite")
WITH_MODEL = (
    "gallery init new.db",
    "gallery enroll anna photo.jpg",
    "gallery doctor",
    "gallery merge anna bob",
    "probe photo.jpg",
    "embed photo.jpg --out new.npz",
    "index video.mp4 --out archive",
    "search photo.jpg --archive archive",
    "run",
    "doctor",
    "bench video.mp4",
    "data check people",
    "experiment closed-set people",
)
WITH_DETECTOR = (
    "gallery enroll anna photo.jpg",
    "probe photo.jpg",
    "index video.mp4 --out archive",
    "search photo.jpg --archive archive",
    "run",
    "doctor",
    "bench video.mp4",
)
WITH_ARGUMENT = ("evaluate {} people", "calibrate {} people", "report {} --out new.html")


@pytest.mark.parametrize("given", [NAME, SMALLER_EMBEDDING])
def test_a_name_stands_for_the_shipped_model(edge_reid, tmp_path: Path, given: str):
    gallery = tmp_path / "gallery.db"
    outcome = edge_reid("gallery", "init", gallery, "--model", given)
    assert f"an empty gallery for model {NAME} (" in outcome.out
    manifest = load_embedding_manifest(shipped_model(SMALLER_EMBEDDING))
    with GalleryStore.open(gallery) as store:
        assert store.model_id == manifest.model_id


def test_a_file_of_that_name_wins(
    edge_reid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.chdir(tmp_path)
    Path(NAME).touch()
    outcome = edge_reid("gallery", "init", "gallery.db", "--model", NAME)
    assert outcome.code == 1
    assert "no such file; every model needs one beside it" in outcome.complaint
    assert f"model {NAME}: {Path(NAME).absolute()} is taken" in caplog.text


def test_a_folder_of_that_name_does_not(
    edge_reid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.chdir(tmp_path)
    Path(NAME).mkdir()
    outcome = edge_reid("gallery", "init", "gallery.db", "--model", NAME)
    assert (outcome.code, caplog.text) == (0, "")
    edge_reid("evaluate", NAME, "people")
    assert f"model {NAME}: {Path(NAME).absolute()} is taken" in caplog.text


@pytest.mark.parametrize(
    ("words", "option", "kind"),
    [
        *((f"{words} --model person", "--model", "embedding model") for words in WITH_MODEL),
        *((f"{words} --detector person", "--detector", "detector") for words in WITH_DETECTOR),
        *((words.format("person"), "MODEL", "embedding model") for words in WITH_ARGUMENT[:2]),
        (WITH_ARGUMENT[2].format("person"), "RUN", "embedding model"),
    ],
)
def test_another_word_is_refused_by_every_verb(
    edge_reid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, option: str, kind: str
):
    monkeypatch.chdir(tmp_path)
    outcome = edge_reid(*words.split())
    assert outcome.code == 2
    assert outcome.complaint.startswith(
        f'error: {option}: expected a file or the name of a shipped {kind}, got "person"; shipped '
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ("", "an empty name or a dot"),
        ("models/no.tflite", "models/no.tflite, which is not there"),
        ("people", "people, which is a folder"),
        ("labels.csv", "labels.csv, which is a CSV of pictures"),
    ],
)
@pytest.mark.parametrize(
    ("words", "option", "kind"),
    [
        ("gallery init new.db --model", "--model", "embedding model"),
        ("probe photo.jpg --detector", "--detector", "detector"),
        ("calibrate", "MODEL", "embedding model"),
    ],
)
def test_what_can_be_no_model_is_wrong_usage(
    edge_reid, tmp_path: Path, monkeypatch, words: str, option: str, kind: str, given: str, got: str
):
    monkeypatch.chdir(tmp_path)
    Path("people").mkdir()
    Path("labels.csv").touch()
    outcome = edge_reid(*words.split(), given, *(["people"] if words == "calibrate" else []))
    assert outcome.code == 2
    assert outcome.complaint.startswith(
        f"error: {option}: expected a file or the name of a shipped {kind}, got {got}; "
    )


@pytest.mark.parametrize(
    ("words", "option"),
    [("evaluate labels.csv", "MODEL"), ("report labels.csv --out r.html", "RUN")],
)
def test_data_in_the_place_of_a_model(
    edge_reid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, option: str
):
    monkeypatch.chdir(tmp_path)
    Path("labels.csv").touch()
    outcome = edge_reid(*words.split())
    assert outcome.code == 2
    assert outcome.complaint.startswith(
        f"error: {option}: expected a file or the name of a shipped embedding model, or the folder "
        "of a run, got labels.csv, which is a CSV of pictures; shipped are "
    )


def test_run_tells_of_models_that_are_not_there_by_their_keys(edge_reid, tmp_path: Path):
    config = tmp_path / "agent.toml"
    config.write_text(
        'site = "lab"\ncamera = "gate"\ngallery = "people.db"\nsource.uri = "0"\n'
        '[models]\nembedding = "models/no.tflite"\n',
        encoding="utf-8",
    )
    outcome = edge_reid("run", "--config", config)
    assert outcome.code == 2
    assert outcome.complaint.startswith(
        f"error: {config}: 1 mistake: models.embedding: expected a file or the name of a shipped "
        f"embedding model, got {tmp_path}/models/no.tflite, which is not there; shipped are "
    )
