"""What `edge-reid search` says beside the table."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from edge_reid.archive import ann_upkeep
from edge_reid.archive.archive_findings import ArchiveFindings
from edge_reid.archive.archive_store import ArchiveModels
from edge_reid.archive.folder_archive import FolderArchive
from edge_reid.archive.track_archive import TrackArchive
from edge_reid.cli.verbs import search
from edge_reid.core.bundled_models import EMBEDDING, SMALLER_EMBEDDING, shipped_model
from edge_reid.core.manifest import load_embedding_manifest

MANY = ArchiveFindings((), ann_upkeep.EXACT_TRACKS + 1, is_exact=True)
FEW = ArchiveFindings((), ann_upkeep.EXACT_TRACKS, is_exact=True)


ARCHIVE = FolderArchive(TrackArchive(Path("archive"), ArchiveModels("0" * 16, 4, "d" * 64)))


def test_what_would_be_faster_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ann_upkeep, "find_spec", lambda _name: None)
    advice = ARCHIVE.advice(MANY)
    assert advice is not None
    assert "\n" not in advice
    assert advice.startswith("250001 tracks were compared one by one; with faiss-cpu")
    assert "pip install '.[archive]'" in advice
    assert ARCHIVE.advice(FEW) is None


def test_where_it_is_installed_nothing_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec("json")
    monkeypatch.setattr(ann_upkeep, "find_spec", lambda _name: found)
    assert ARCHIVE.advice(MANY) is None
    search._print(ArchiveFindings((), 300_000, is_exact=False), 0.9)
    assert "of 300000 tracks, by an index, which may miss one of fifty" in capsys.readouterr().out


def archive_of(folder: Path, model_id: str) -> Path:
    TrackArchive.create(folder, ArchiveModels(model_id, 256, "d" * 64))
    return folder


def test_its_accepted_rate_is_of_searches_as_it_names_nobody(edge_reid) -> None:
    told = " ".join(edge_reid("search", "--help").out.split())
    assert "Accepted share of searches in which somebody else is over the threshold" in told
    assert "who are named" not in told


def test_an_archive_says_its_model(edge_reid, samples, tmp_path: Path) -> None:
    crop = next(iter(samples.values()))[0].crop
    model_id = load_embedding_manifest(shipped_model(SMALLER_EMBEDDING)).model_id
    outcome = edge_reid("search", crop, "--archive", archive_of(tmp_path / "archive", model_id))
    assert (outcome.code, "of 0 tracks" in outcome.out) == (0, True)


def test_a_picture_of_numbers_is_said_to_be_skipped(edge_reid, samples, tmp_path: Path) -> None:
    crop = next(iter(samples.values()))[0].crop
    model_id = load_embedding_manifest(shipped_model(SMALLER_EMBEDDING)).model_id
    archive, picture = archive_of(tmp_path / "archive", model_id), tmp_path / "still.boxes.jpg"
    outcome = edge_reid("search", crop, picture, "--archive", archive, "--json")
    said = f"{picture}: skipped, a picture of numbered boxes by its name\n"
    assert (outcome.code, outcome.err) == (0, said)


def test_another_model_than_the_archives_is_refused_before_any_photo_is_read(
    edge_reid, tmp_path: Path
) -> None:
    name, other = (file.removesuffix(".tflite") for file in (SMALLER_EMBEDDING, EMBEDDING))
    model_id = load_embedding_manifest(shipped_model(SMALLER_EMBEDDING)).model_id
    archive = archive_of(tmp_path / "archive", model_id)
    outcome = edge_reid("search", tmp_path / "no.jpg", "--archive", archive, "--model", other)
    assert outcome.code == 1
    assert outcome.complaint.startswith(
        f"error: archive {archive}: expected one of model {other} ("
    )
    assert f"got one of {name} ({model_id}); give {name} as --model, or index" in outcome.complaint
    assert "gallery" not in outcome.complaint


def test_an_archive_of_a_model_that_is_not_shipped_needs_it_named(
    edge_reid, tmp_path: Path
) -> None:
    archive = archive_of(tmp_path / "archive", "f" * 16)
    outcome = edge_reid("search", tmp_path / "no.jpg", "--archive", archive)
    assert outcome.code == 1
    assert outcome.complaint == (
        f"error: archive {archive}: expected one of a shipped model, as no other is named, got one "
        "of model ffffffffffffffff; give that model's .tflite as --model, or index the videos anew"
    )
