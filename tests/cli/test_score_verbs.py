"""`edge-reid evaluate` and `calibrate` on the shipped model, as a user types them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_reid.core import bundled_models
from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.manifest import load_embedding_manifest, manifest_path

PEOPLE, CAMERAS, SHOTS = 12, 2, 2


@pytest.fixture(scope="module")
def crops() -> dict[tuple[int, int, int], np.ndarray]:
    """People in coats and trousers of their own, under two lights."""
    rng = np.random.default_rng(0)
    clothes = rng.integers(0, 256, (PEOPLE, 2, 3))
    drawn = {}
    for person, camera, shot in np.ndindex(PEOPLE, CAMERAS, SHOTS):
        crop = np.full((96, 48, 3), 110 + 20 * camera, np.int64)
        crop[18:55, 10:38], crop[55:92, 14:34] = clothes[person]
        crop += rng.integers(-20, 20, crop.shape)
        drawn[person, camera, shot] = np.clip(crop, 0, 255).astype(np.uint8)
    return drawn


@pytest.fixture
def market(crops, tmp_path: Path) -> Path:
    """Named as in Market-1501; one more person is seen by one camera only."""
    folder = tmp_path / "people"
    folder.mkdir()
    for (person, camera, shot), crop in crops.items():
        cv2.imwrite(str(folder / f"{person + 1:04d}_c{camera + 1}s1_{shot:06d}_00.png"), crop)
    for shot in range(SHOTS):
        cv2.imwrite(str(folder / f"0099_c1s1_{shot:06d}_00.png"), crops[0, 0, shot][::-1])
    return folder


@pytest.fixture
def folders(crops, tmp_path: Path) -> Path:
    """A folder per person, cameras unknown."""
    for (person, camera, shot), crop in crops.items():
        place = tmp_path / "album" / f"person-{person}"
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{camera}-{shot}.png"), crop)
    return tmp_path / "album"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The shipped model, to be written beside."""
    shipped = shipped_model(EMBEDDING)
    for path in (shipped, manifest_path(shipped)):
        shutil.copy(path, tmp_path / path.name)
    return tmp_path / shipped.name


def test_a_file_is_scored_without_tensorflow(model: Path, market: Path) -> None:
    program = (
        "import sys; sys.modules.update(tensorflow=None, keras=None); "
        "from edge_reid.cli.main import main; main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "evaluate", model, market, "--json", "--open-set"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    scores = json.loads(done.stdout)
    assert scores["queries"] == PEOPLE * CAMERAS
    assert scores["cross_camera"] is True
    assert [name[:5] for name in scores["skipped"]] == ["0099_"]
    assert 0.3 < scores["mAP"] <= 1.0
    assert [(each["setup"]["probe"], each["setup"]["shots"]) for each in scores["open_set"]] == [
        ("crop", 1),
        ("crop", 5),
        ("crop", 5),
        ("track", 1),
        ("track", 5),
        ("track", 5),
    ]
    assert "expected at least 1,000 probes" in scores["open_set"][0]["refused"][0]


def test_the_table_says_what_counted(edge_reid, model: Path, market: Path, folders: Path) -> None:
    outcome = edge_reid("evaluate", model, market, folders)
    assert outcome.code == 0
    assert "rank-1" in outcome.out
    assert "1 queries without a valid match skipped: 0099_c1s1_" in outcome.out
    assert "the query's person under the query's camera is left out" in outcome.out
    assert "no camera ids: the cross-camera rule is left out" in outcome.out


def test_model_and_data_have_names(edge_reid, market: Path) -> None:
    """A shipped model its own, and a set of labels.csv that of its folder."""
    rows = [f"{file.name},{file.name[:4]},{file.name[6]}" for file in sorted(market.iterdir())]
    labels = market / "labels.csv"
    labels.write_text("\n".join(["path,identity,camera", *rows]), encoding="utf-8")
    outcome = edge_reid("evaluate", EMBEDDING.removesuffix(".tflite"), labels, "--json")
    assert json.loads(outcome.out)["data"] == "people"


def test_calibration_goes_into_the_manifest_and_nowhere_else(
    edge_reid, model: Path, market: Path
) -> None:
    before, content = load_embedding_manifest(model), model.read_bytes()
    outcome = edge_reid("calibrate", model, market, "--dry-run")
    assert outcome.code == 0
    assert load_embedding_manifest(model) == before

    outcome = edge_reid("calibrate", model, market, "--force")  # the table there is of more people
    assert outcome.code == 0
    assert f"model_id stays {before.model_id}" in outcome.out
    assert "refused:" in outcome.out
    after = load_embedding_manifest(model)
    assert after.calibration is not None
    assert after.calibration.people == PEOPLE + 1
    assert after.impostor_quantiles != before.impostor_quantiles
    assert model.read_bytes() == content
    thresholds = {
        "impostor_quantiles",
        "impostor_quantiles_by_templates",
        "genuine_quantiles",
        "calibration",
    }
    assert after.model_dump(exclude=thresholds) == before.model_dump(exclude=thresholds)
    assert {path.name for path in model.parent.iterdir()} == {
        model.name,
        manifest_path(model).name,
        market.name,
    }


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the models of an installation whose path needs quotes."""
    folder = tmp_path / "my programs" / "models"
    folder.mkdir(parents=True)
    for file in (shipped_model(EMBEDDING), manifest_path(shipped_model(EMBEDDING))):
        shutil.copy(file, folder)
    monkeypatch.setattr(bundled_models, "_PACKAGE", folder.parent / "edge_reid")
    return folder


@pytest.mark.parametrize("given", [Path(EMBEDDING).stem, f"models/{EMBEDDING}", EMBEDDING])
def test_a_shipped_model_keeps_its_thresholds(
    edge_reid, market: Path, installation: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """Every gallery of this installation rests on them; a copy is calibrated in its place."""
    monkeypatch.chdir(installation if given == EMBEDDING else installation.parent)
    manifest = manifest_path(installation / EMBEDDING)
    before = manifest.read_bytes()
    outcome = edge_reid("calibrate", given, market, "--force")
    assert outcome.code == 2
    assert "got a shipped one, whose own stay; " in outcome.complaint
    assert edge_reid("calibrate", given, market, "--dry-run", "--force").code == 0
    assert manifest.read_bytes() == before


def test_the_line_that_copies_a_shipped_model_copies_it(
    edge_reid, market: Path, installation: Path, tmp_path: Path
) -> None:
    outcome = edge_reid("calibrate", installation / EMBEDDING, market)
    line = outcome.complaint.partition("whose own stay; ")[2].partition(" and calibrate")[0]
    mine = tmp_path / "mine"
    mine.mkdir()
    subprocess.run(line, shell=True, check=True, cwd=mine)
    assert edge_reid("calibrate", mine / EMBEDDING, market, "--force").code == 0


def test_what_is_linked_from_a_folder_of_ones_own_is_ones_own(
    edge_reid, market: Path, installation: Path, tmp_path: Path
) -> None:
    """Its manifest lies beside the link."""
    linked = tmp_path / EMBEDDING
    linked.symlink_to(installation / EMBEDDING)
    shutil.copy(manifest_path(installation / EMBEDDING), tmp_path)
    assert edge_reid("calibrate", linked, market, "--force").code == 0


def test_pictures_without_cameras_are_warned_about(edge_reid, model: Path, folders: Path) -> None:
    outcome = edge_reid("calibrate", model, folders, "--force")
    assert outcome.code == 0
    assert "warning: no camera ids" in outcome.out
    calibration = load_embedding_manifest(model).calibration
    assert calibration is not None
    assert not calibration.cameras_known


def test_two_people_are_too_few_and_nothing_is_written(
    edge_reid, model: Path, folders: Path
) -> None:
    for number in range(2, PEOPLE):
        shutil.rmtree(folders / f"person-{number}")
    before = manifest_path(model).read_bytes()
    outcome = edge_reid("calibrate", model, folders)
    assert outcome.code == 1
    assert outcome.complaint.startswith("error: calibrate: expected enough people")
    assert manifest_path(model).read_bytes() == before


def test_a_check_needs_more_people_than_a_table(edge_reid, model: Path, market: Path) -> None:
    before = manifest_path(model).read_bytes()
    outcome = edge_reid("calibrate", model, market, "--check")
    assert outcome.code == 1
    assert "expected at least 40 people to halve, got 13; leave the check out" in outcome.complaint
    assert manifest_path(model).read_bytes() == before


@pytest.mark.parametrize("shots", ["one", "0", "1,", "²", "9" * 5000], ids=lambda text: text[:9])
def test_shots_that_are_none_are_told_in_a_line(
    shots: str, edge_reid, model: Path, market: Path
) -> None:
    outcome = edge_reid("evaluate", model, market, "--open-set", "--shots", shots)
    assert (outcome.code, "--shots: expected numbers" in outcome.complaint) == (2, True)
    assert len(outcome.complaint) < 200


def test_wrong_usage_is_said_in_a_line(edge_reid, model: Path, market: Path) -> None:
    outcome = edge_reid("evaluate", model)
    assert (outcome.code, "expected DATA" in outcome.complaint) == (2, True)
    outcome = edge_reid("evaluate", market / "0001_c1s1_000000_00.png", market)
    assert (outcome.code, "expected a .tflite or the folder" in outcome.complaint) == (2, True)
