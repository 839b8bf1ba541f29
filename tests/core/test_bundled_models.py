"""Shipped models by their names: which file a name stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_reid.core.bundled_models import (
    EMBEDDING,
    SMALLER_EMBEDDING,
    called,
    is_shipped,
    model_file,
    model_mistake,
    shipped_model,
)
from edge_reid.core.config.settings_file import check_model_files, load_settings
from edge_reid.core.errors import ConfigError

NAME = SMALLER_EMBEDDING.removesuffix(".tflite")
FAR = "person_detection_0201_640x640.tflite"
CONFIG = 'site = "lab"\ngallery = "people.db"\n[cameras.gate]\nsource.uri = "0"\n'


def settings(folder: Path, more: str):
    path = folder / "agent.toml"
    path.write_text(CONFIG + more, encoding="utf-8")
    return load_settings(path, {})


@pytest.mark.parametrize("given", [NAME, f"{NAME}.tflite"])
def test_a_name_is_that_of_a_shipped_model(tmp_path: Path, given: str):
    assert model_file(Path(given), "embedding", tmp_path) == shipped_model(SMALLER_EMBEDDING)


@pytest.mark.parametrize("given", [NAME, f"{NAME}.tflite"])
@pytest.mark.parametrize("there", [NAME, f"{NAME}.tflite"])
def test_a_file_of_that_name_wins(tmp_path: Path, given: str, there: str):
    (tmp_path / there).touch()
    is_other = given == f"{NAME}.tflite" and there == NAME
    expected = shipped_model(SMALLER_EMBEDDING) if is_other else tmp_path / there
    assert model_file(Path(given), "embedding", tmp_path) == expected


@pytest.mark.parametrize("given", [f"models/{NAME}", f"../{NAME}.tflite", f"/opt/{NAME}"])
def test_a_path_is_no_name(tmp_path: Path, given: str):
    assert model_file(Path(given), "embedding", tmp_path) == tmp_path / given


def test_a_model_of_the_other_kind_is_not_meant(tmp_path: Path):
    with pytest.raises(ValueError, match="name of a shipped detector, got .*; shipped are nanodet"):
        model_file(Path(NAME), "detector", tmp_path)


@pytest.mark.parametrize("there", [NAME, f"{NAME}.tflite"])
def test_a_file_that_wins_is_named(tmp_path: Path, caplog, there: str):
    (tmp_path / there).touch()
    for _ in range(2):
        model_file(Path(NAME), "embedding", tmp_path)
    (said,) = caplog.messages
    assert said == (
        f"model {NAME}: {tmp_path / there} is taken, which has the name of a shipped model; rename "
        "it if that one is meant"
    )


def test_where_the_shipped_ones_lie_nothing_hides_them(caplog):
    folder = shipped_model(SMALLER_EMBEDDING).parent
    assert model_file(Path(NAME), "embedding", folder).samefile(shipped_model(SMALLER_EMBEDDING))
    assert caplog.messages == []


def test_a_folder_of_that_name_hides_nothing(tmp_path: Path, caplog):
    """Only where a run is taken too, which is a folder."""
    (tmp_path / NAME).mkdir()
    assert model_file(Path(NAME), "embedding", tmp_path) == shipped_model(SMALLER_EMBEDDING)
    assert caplog.messages == []
    assert model_file(Path(NAME), "embedding", tmp_path, or_run=True) == tmp_path / NAME
    assert f"{tmp_path / NAME} is taken" in caplog.text
    (tmp_path / f"{NAME}.tflite").touch()
    assert model_file(Path(NAME), "embedding", tmp_path) == tmp_path / f"{NAME}.tflite"


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("no.tflite", "no.tflite, which is not there"),
        ("folder", "folder, which is a folder"),
        ("labels.CSV", "labels.CSV, which is a CSV of pictures"),
    ],
)
def test_what_can_be_no_model_is_refused(tmp_path: Path, name: str, got: str):
    (tmp_path / "folder").mkdir()
    (tmp_path / "labels.CSV").touch()
    (tmp_path / "a.tflite").touch()
    assert model_mistake(tmp_path / "a.tflite", "embedding") is None
    assert model_mistake(tmp_path / "folder", "embedding", or_run=True) is None
    said = model_mistake(tmp_path / name, "embedding") or ""
    assert said.startswith("expected a file or the name of a shipped embedding model, got ")
    assert f"got {tmp_path}/{got}; shipped are " in said


def test_a_file_of_ones_own_beside_the_shipped_ones_is_none_of_them():
    """In a checkout that folder is where one works: README exports into it."""
    assert is_shipped(shipped_model(SMALLER_EMBEDDING))
    mine = shipped_model("mine.tflite")
    assert not is_shipped(mine)
    assert called(mine) == str(mine)
    assert "which is not there" in (model_mistake(mine, "embedding") or "")


def test_no_name_is_too_long(tmp_path: Path):
    with pytest.raises(ValueError, match="expected a file or the name"):
        model_file(Path("x" * 5000), "detector", tmp_path)


class TestConfiguration:
    def test_names_are_those_of_shipped_models(self, tmp_path: Path):
        stem = FAR.removesuffix(".tflite")
        text = f'detect.model = "{stem}"\n[models]\nembedding = "{NAME}"\ndetector = "{FAR}"'
        found = settings(tmp_path, text)
        assert found.models.embedding == shipped_model(SMALLER_EMBEDDING)
        assert found.models.detector == shipped_model(FAR)
        assert found.cameras["gate"].detect.model == shipped_model(FAR)

    def test_a_file_beside_it_wins(self, tmp_path: Path):
        (tmp_path / FAR).touch()
        found = settings(tmp_path, f'detect.model = "{FAR}"\n[models]\ndetector = "{FAR}"')
        assert found.models.detector == tmp_path / FAR
        assert found.cameras["gate"].detect.model == tmp_path / FAR

    def test_a_file_where_it_is_started_is_not_meant(self, tmp_path: Path, monkeypatch):
        there = tmp_path / "elsewhere"
        there.mkdir()
        (there / f"{NAME}.tflite").touch()
        monkeypatch.chdir(there)
        found = settings(tmp_path, f'[models]\nembedding = "{NAME}"')
        assert found.models.embedding == shipped_model(SMALLER_EMBEDDING)

    def test_a_path_on_the_command_line_is_relative_to_where_one_is(self, tmp_path: Path):
        path = tmp_path / "agent.toml"
        path.write_text(CONFIG, encoding="utf-8")
        found = load_settings(path, {"models": {"embedding": Path("mine.tflite")}})
        assert found.models.embedding == Path("mine.tflite")

    def test_an_unknown_name_is_a_mistake_beside_the_others(self, tmp_path: Path):
        text = 'detect.model = "nanodet"\n[models]\nembedding = "person_reid_opne"\nthreads = 0\n'
        with pytest.raises(ConfigError) as raised:
            settings(tmp_path, text)
        assert len(raised.value.problems) == 3
        assert (
            "models.embedding: expected a file or the name of a shipped embedding model, got "
            f'"person_reid_opne"; shipped are {EMBEDDING.removesuffix(".tflite")} (the default), '
            in str(raised.value)
        )
        assert f" {NAME}, " in str(raised.value)
        assert (
            "cameras.gate.detect.model: expected a file or the name of a shipped detector, got "
            in str(raised.value)
        )

    def test_an_empty_text_is_neither_a_name_nor_a_folder(self, tmp_path: Path):
        text = 'detect.model = ""\n[models]\nembedding = ""\ndetector = ""\n'
        with pytest.raises(ConfigError) as raised:
            settings(tmp_path, text)
        said = "expected a name or a path, got an empty text; write one, or leave the key out"
        assert raised.value.problems == tuple(
            f"{key}: {said}"
            for key in ("models.detector", "models.embedding", "cameras.gate.detect.model")
        )

    def test_files_that_are_not_there_are_mistakes_by_their_keys(self, tmp_path: Path):
        text = (
            'detect.model = "models/near.tflite"\n[models]\nembedding = "models/no.tflite"\n'
            'detector = "/opt/none.tflite"\n'
        )
        found = settings(tmp_path, text)  # which a device needs to fetch what brings them
        with pytest.raises(ConfigError) as raised:
            check_model_files(found, "agent.toml")
        keys = ["models.detector", "models.embedding", "cameras.gate.detect.model"]
        assert [problem.partition(": ")[0] for problem in raised.value.problems] == keys
        assert (
            "models.embedding: expected a file or the name of a shipped embedding model, got "
            f"{tmp_path}/models/no.tflite, which is not there; shipped are " in str(raised.value)
        )

    def test_the_shipped_ones_are_not_looked_at(self, tmp_path: Path):
        check_model_files(settings(tmp_path, ""), "agent.toml")
