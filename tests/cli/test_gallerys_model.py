"""Where nobody names an embedding model, galleries, archives and files of strangers say theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.outcome import Outcome

from edge_reid.archive.archive_store import ArchiveModels
from edge_reid.archive.track_archive import TrackArchive
from edge_reid.core.bundled_models import (
    DETECTOR,
    DETECTORS,
    EMBEDDING,
    SMALLER_EMBEDDING,
    shipped_model,
)
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.gallery.store import GalleryStore
from edge_reid.strangers.stranger_store import StrangerStore

NAME = SMALLER_EMBEDDING.removesuffix(".tflite")
DEFAULT = EMBEDDING.removesuffix(".tflite")
SMALL_DETECTOR = DETECTORS[0]
PLACE = ("--site", "lab", "--camera", "gate", "--quiet")

Command = Callable[..., Outcome]


@pytest.fixture
def gallery(edge_reid: Command, tmp_path: Path) -> Path:
    """Of a shipped model that is not the default."""
    path = tmp_path / "gallery.db"
    assert edge_reid("gallery", "init", path, "--model", NAME).code == 0
    return path


@pytest.fixture
def foreign_gallery(tmp_path: Path) -> Path:
    """Of a model that is not shipped."""
    path = tmp_path / "foreign.db"
    GalleryStore.create(path, "f" * 16, 256).close()
    return path


def test_its_people_are_enrolled_and_compared_with_its_model(
    edge_reid: Command, gallery: Path, samples
) -> None:
    (anna, photos), (ben, others), *_ = samples.items()
    for name, taken in ((anna, photos), (ben, others)):
        crops = [sample.crop for sample in taken]
        assert edge_reid("gallery", "enroll", name, *crops, "--gallery", gallery).code == 0
    found = edge_reid("probe", photos[0].crop, "--gallery", gallery)
    assert (found.code, f"known: {anna}" in found.out) == (0, True)
    assert edge_reid("gallery", "doctor", "--gallery", gallery).code == 0
    refused = edge_reid("gallery", "merge", anna, ben, "--gallery", gallery)
    assert "look like two people" in refused.complaint


def test_list_names_the_model_and_its_id(edge_reid: Command, gallery: Path) -> None:
    model_id = load_embedding_manifest(shipped_model(SMALLER_EMBEDDING)).model_id
    said = edge_reid("gallery", "list", "--gallery", gallery).out
    assert f"0 people, model {NAME} ({model_id}), gallery version 0" in said


def test_another_model_that_is_named_is_refused_as_before(
    edge_reid: Command, gallery: Path, tmp_path: Path
) -> None:
    outcome = edge_reid("probe", tmp_path / "a.jpg", "--gallery", gallery, "--model", DEFAULT)
    assert outcome.code == 1
    assert f"expected one of model {DEFAULT} (" in outcome.complaint
    assert f"got one of {NAME} (" in outcome.complaint


@pytest.mark.parametrize(
    "words", ["gallery enroll anna a.jpg", "probe a.jpg", "gallery doctor", "gallery merge a b"]
)
def test_a_model_that_is_not_shipped_must_be_named(
    edge_reid: Command, foreign_gallery: Path, words: str
) -> None:
    outcome = edge_reid(*words.split(), "--gallery", foreign_gallery)
    assert outcome.code == 1
    assert outcome.complaint.startswith(
        f"error: gallery {foreign_gallery}: expected one of a shipped model, as no other is named, "
        "got one of model ffffffffffffffff; give that model's .tflite as --model"
    )


def test_strangers_are_compared_with_the_model_they_were_remembered_by(
    edge_reid: Command, tmp_path: Path
) -> None:
    files = {"its": load_embedding_manifest(shipped_model(SMALLER_EMBEDDING)), "foreign": None}
    said = {}
    for kind, manifest in files.items():
        path = tmp_path / f"{kind}.db"
        model_id, dimension = (manifest.model_id, manifest.dimension) if manifest else ("f" * 16, 4)
        StrangerStore.open_or_make(
            path, model_id=model_id, dimension=dimension, keep_s=60.0
        ).close()
        said[kind] = edge_reid(
            "gallery", "merge", "anon-1", "anon-2", "--strangers", path
        ).complaint
    assert "nobody is called" in said["its"]
    assert "expected one of a shipped model" in said["foreign"]
    assert "or --yes to merge without a comparison" in said["foreign"]


def test_run_takes_the_model_of_the_gallery(
    edge_reid: Command, gallery: Path, short_clip: Path, tmp_path: Path
) -> None:
    """Its id is on every event."""
    events = tmp_path / "events.jsonl"
    outcome = edge_reid(
        *("run", "--source", short_clip, "--gallery", gallery, *PLACE, "--events", events)
    )
    assert outcome.code == 0, outcome.err
    model_id = load_embedding_manifest(shipped_model(SMALLER_EMBEDDING)).model_id
    assert f'"model_id":"{model_id}"' in events.read_text(encoding="utf-8")


def test_a_configuration_that_names_a_model_is_obeyed(
    edge_reid: Command, gallery: Path, tmp_path: Path
) -> None:
    config = tmp_path / "agent.toml"
    text = 'site = "lab"\ncamera = "gate"\ngallery = "gallery.db"\nsource.uri = "no.mp4"\n'
    config.write_text(f'{text}[models]\nembedding = "{DEFAULT}"\n', encoding="utf-8")
    outcome = edge_reid("run", "--config", config)
    assert outcome.code == 1
    assert f"expected one of model {DEFAULT} (" in outcome.complaint
    config.write_text(text, encoding="utf-8")
    assert "no.mp4" in edge_reid("run", "--config", config).complaint


def test_the_doctor_checks_the_model_that_run_takes(
    edge_reid: Command, gallery: Path, foreign_gallery: Path
) -> None:
    said = " ".join(edge_reid("doctor", "--gallery", gallery).out.split())
    assert f"embedding model {NAME}, model_id " in said
    assert "nobody is enrolled" in said
    said = " ".join(edge_reid("doctor", "--gallery", foreign_gallery).out.split())
    assert f"embedding model {DEFAULT}, model_id " in said
    assert "got one of ffffffffffffffff" in said


def test_index_goes_on_with_the_models_of_the_archive(
    edge_reid: Command, short_clip: Path, tmp_path: Path
) -> None:
    """As `search` takes it; another one that is named is refused as before."""
    archive = tmp_path / "archive"
    words = ("index", short_clip, "--camera", "gate", "--out", archive, "--processes", 1)
    assert edge_reid(*words, "--model", NAME, "--detector", SMALL_DETECTOR).code == 0
    again = edge_reid(*words)
    assert (again.code, "in it already" in again.out) == (0, True), again.err
    assert edge_reid(*words, "--detector", DETECTOR).code == 1
    refused = edge_reid(*words, "--model", DEFAULT)
    assert refused.code == 1
    assert f"expected an archive of model {DEFAULT} (" in refused.complaint
    assert f"got one of {NAME} (" in refused.complaint


def test_index_needs_the_model_of_an_archive_to_be_named_if_it_is_not_shipped(
    edge_reid: Command, short_clip: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    TrackArchive.create(archive, ArchiveModels("f" * 16, 256, "d" * 64))
    outcome = edge_reid("index", short_clip, "--camera", "gate", "--out", archive)
    assert outcome.code == 1
    assert outcome.complaint.startswith(
        f"error: archive {archive}: expected one of a shipped model, as no other is named, got one "
        "of model ffffffffffffffff; give that model's .tflite as --model, or index the videos anew"
    )
    outcome = edge_reid("index", short_clip, "--out", archive, "--model", NAME)
    assert "expected one of a shipped detector, as no other is named, got one" in outcome.complaint
    assert f"{'d' * 64}; give that detector's .tflite as --detector, or index" in outcome.complaint
