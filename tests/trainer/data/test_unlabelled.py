"""Pictures that nobody has labelled: found, drawn, and learnt from through a teacher alone."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.bent_zips import unreadable_zips

pytestmark = pytest.mark.trainer
keras = pytest.importorskip("keras", reason="needs Keras")
pytest.importorskip("tensorflow", reason="needs TensorFlow")

from edge_reid.core.bundled_models import shipped_model  # noqa: E402
from edge_reid.core.errors import ConfigError, TrainingError  # noqa: E402
from edge_reid.matching.vectors import unit_rows  # noqa: E402
from trainer.data.batches import UNLABELLED, TrainingSet, batches_from  # noqa: E402
from trainer.data.datasets import NO_CAMERA, PersonData  # noqa: E402
from trainer.data.run_data import RunData  # noqa: E402
from trainer.data.unlabelled import read_unlabelled  # noqa: E402
from trainer.network.objective import loss_parts  # noqa: E402
from trainer.recipe.loss_settings import Losses  # noqa: E402
from trainer.recipe.recipe import (  # noqa: E402
    DataSource,
    Recipe,
    Stage,
    Teacher,
    Unlabelled,
    make_recipe,
    read_recipe,
)
from trainer.recipe.target_settings import Targets  # noqa: E402
from trainer.run.train import start_run  # noqa: E402
from trainer.teacher.student_targets import Seen, targets_of  # noqa: E402

SMALL = shipped_model("person_reid_mobilenetv2_160x80_int8.tflite")
DEFAULT = shipped_model("person_reid_mobilenetv2_192x96_int8.tflite")


def draw(folder: Path, *names: str) -> list[Path]:
    """Pictures of noise, each of its own."""
    paths = []
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (32, 16, 3), np.uint8)
        assert cv2.imwrite(str(path), noise)
        paths.append(path)
    return paths


def test_pictures_are_found_however_deep_and_drawn_as_often_as_asked(tmp_path: Path) -> None:
    street = draw(tmp_path / "street", "a.png", "crossing/night/b.webp")
    web = draw(tmp_path / "web", "c.jpg")
    draw(tmp_path / "web", ".hidden/d.png")
    (tmp_path / "street" / "notes.txt").write_text("no picture")
    entries = [
        Unlabelled(path=tmp_path / "street", weight=2.0),
        Unlabelled(path=tmp_path / "web"),
    ]
    found = read_unlabelled(entries, tmp_path / "unpacked")
    assert found.paths == (*street, *web)
    assert found.weights.tolist() == [2.0, 2.0, 1.0]


def test_a_zip_is_unpacked_once_and_can_be_taken_in_parts(tmp_path: Path) -> None:
    files = draw(tmp_path / "made", "cctv/a.png", "web/b.png")
    archive = tmp_path / "breadth.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in files:
            packed.write(file, file.relative_to(tmp_path / "made"))
        packed.writestr("../outside.png", b"nothing that may leave the folder")
    only = Unlabelled(path=archive, folders=("cctv",))
    (first,) = read_unlabelled([only], tmp_path / "unpacked").paths
    assert first.read_bytes() == files[0].read_bytes()
    assert first.parts[-2:] == ("cctv", "a.png")  # what stored teachers know it by
    before = first.stat().st_ino
    assert read_unlabelled([only], tmp_path / "unpacked").paths[0].stat().st_ino == before
    assert not (tmp_path / "outside.png").exists()
    assert not (tmp_path / "unpacked" / "outside.png").exists()


def test_a_zip_that_cannot_be_unpacked_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "whole.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(draw(tmp_path / "made", "a.png")[0], "a.png")
    bent = unreadable_zips((tmp_path / "whole.zip").read_bytes())["encrypted"]
    (tmp_path / "bent.zip").write_bytes(bent)
    with pytest.raises(TrainingError, match=r"bent\.zip: expected a \.zip that can be unpacked"):
        read_unlabelled([Unlabelled(path=tmp_path / "bent.zip")], tmp_path / "unpacked")


def test_folders_are_cameras_only_where_that_is_said(tmp_path: Path) -> None:
    draw(tmp_path / "street", "gate/a.png", "gate/b.png", "yard/c.png")
    draw(tmp_path / "people", "ana/d.png", "zoe/e.png")
    street = Unlabelled(path=tmp_path / "street", folders_are="cameras")
    people = Unlabelled(path=tmp_path / "people")
    seen = read_unlabelled([people, street], tmp_path / "unpacked")
    assert seen.cameras.tolist() == [NO_CAMERA, NO_CAMERA, 0, 0, 1]
    named = PersonData(
        (Path("x.png"), Path("y.png")), np.array([0, 1]), np.array([NO_CAMERA, 4]), ("ana", "zoe")
    )
    data = RunData(named, named, held_out=False, left_out=(), unlabelled=seen)
    cameras = data.training_cameras
    assert cameras.tolist() == [NO_CAMERA, 4, NO_CAMERA, NO_CAMERA, 5, 5, 6]

    answers = unit_rows(np.random.default_rng(1).normal(size=(7, 8)))
    learnt = targets_of(answers, Seen(cameras, data.training_people), Targets(camera=1.0))
    is_known = cameras != NO_CAMERA
    np.testing.assert_allclose(learnt[~is_known], answers[~is_known], atol=1e-6)
    assert not np.any(np.all(np.isclose(learnt, answers), axis=1) & is_known)


def test_the_recipe_of_the_shipped_models_takes_the_cameras_of_its_pictures_out() -> None:
    recipe = read_recipe(shipped_model("person_reid_mobilenetv2.recipe.json"))
    assert recipe.targets.camera
    assert {entry.folders_are for entry in recipe.unlabelled} == {"cameras"}


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    good, bad = draw(tmp_path / "p", "a.png", "b.png")
    bad.write_bytes(good.read_bytes()[:40])
    found = read_unlabelled([Unlabelled(path=tmp_path / "p")], tmp_path)
    assert found.paths == (good,)
    assert found.unreadable[0].path == bad


def test_an_entry_that_is_none_says_what_is_expected(tmp_path: Path) -> None:
    draw(tmp_path / "p", "a.png")
    (tmp_path / "empty").mkdir()
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as archive:
        archive.writestr("readme.txt", "the pictures are elsewhere")
    for entry, message in (
        (Unlabelled(path=tmp_path / "text.zip"), r"text\.zip: expected pictures"),
        (Unlabelled(path=tmp_path / "gone"), "gone: expected a folder or a .zip"),
        (Unlabelled(path=tmp_path / "empty"), "empty: expected pictures"),
        (Unlabelled(path=tmp_path / "p", folders=("q",)), "expected the folder q in it"),
    ):
        with pytest.raises(TrainingError, match=message):
            read_unlabelled([entry], tmp_path)
    twice = Unlabelled(path=tmp_path / "p")
    with pytest.raises(TrainingError, match=r"every picture in one entry, got .*a\.png in two"):
        read_unlabelled([twice, twice], tmp_path)


def test_without_a_teacher_there_is_nothing_to_learn_from_them() -> None:
    stage = {"height_px": 32, "width_px": 32, "epochs": 1}
    asked = {"sources": [{"path": "p"}], "stages": [stage], "unlabelled": [{"path": "u"}]}
    with pytest.raises(ConfigError, match="expected a loss that compares with a teacher"):
        make_recipe(asked)


def test_a_batch_ends_with_others_drawn_by_weight() -> None:
    labels = np.repeat(np.arange(4), 3)
    crops = np.arange(12 + 50, dtype=np.uint8)[:, None, None, None] + np.zeros((8, 4, 3), np.uint8)
    weights = np.where(np.arange(50) < 25, 3.0, 1.0)
    rows = np.arange(62, dtype=np.float32)[:, None]
    recipe = Recipe(
        sources=(DataSource(path="p"),),
        stages=(Stage(height_px=32, width_px=32, epochs=1),),
        augment={"flip": 0, "shift": 0, "brightness": 0, "contrast": 0, "erase": 0},
        identities_per_batch=2,
        images_per_identity=2,
        unlabelled_per_batch=10,
    )
    made = batches_from(TrainingSet(crops, labels, rows, weights), recipe, seed=1)
    drawn = []
    for _ in range(200):
        batch = next(made)
        assert batch.labels[4:].tolist() == [UNLABELLED] * 10
        assert (batch.labels[:4] >= 0).all()
        assert batch.images[:, 0, 0, 0].tolist() == batch.teacher[:, 0].tolist()
        assert len(set(batch.teacher[4:, 0])) == 10
        drawn += batch.teacher[4:, 0].tolist()
    often = np.mean(np.array(drawn) < 12 + 25)
    assert 0.6 < often < 0.75  # three to one, less as none is drawn twice in a batch


def test_losses_of_identities_do_not_see_them() -> None:
    rng = np.random.default_rng(0)
    losses = Losses.model_validate({"softmax": 1.0, "triplet": 1.0, "relational": 1.0})
    rows = rng.normal(size=(6, 4)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    output = {"embedding": rows, "logits": rng.normal(size=(6, 2)).astype(np.float32)}
    target = {"label": np.array([0, 0, 1, 1, -1, -1], np.int32), "teacher": rows[::-1].copy()}
    both = loss_parts(output, target, losses, labelled=4)
    known = loss_parts(
        {name: value[:4] for name, value in output.items()},
        {name: value[:4] for name, value in target.items()},
        losses,
    )
    for name in ("softmax", "triplet"):
        assert float(both[name]) == pytest.approx(float(known[name]))
    teacher = target["teacher"]
    error = (rows @ rows.T - teacher @ teacher.T) ** 2
    expected = (error.sum() - np.trace(error)) / (6 * 5)
    assert float(both["relational"]) == pytest.approx(expected, rel=1e-5)


def test_a_run_learns_from_them_what_two_teachers_say(recipe: Recipe, tmp_path: Path) -> None:
    draw(tmp_path / "breadth", *(f"{i}.png" for i in range(12)))
    asked = recipe.model_copy(
        update={
            "unlabelled": (Unlabelled(path=tmp_path / "breadth", terms="noise, free"),),
            "unlabelled_per_batch": 4,
            "losses": Losses.model_validate({"regression": 4.0, "triplet": 0.1}),
            "teachers": tuple(Teacher(path=p, mirror=False) for p in (DEFAULT, SMALL)),
            "teacher_space": "principal",
        }
    )
    run = tmp_path / "run"
    start_run(asked, run)
    with np.load(run / "teacher-2.npz") as stored:
        assert stored["emb"].shape == (48 + 12, 256)
    with np.load(run / "teacher_space.npz") as space:
        directions = space["directions"]
    assert np.allclose(directions.T @ directions, np.eye(16), atol=1e-5)
    noted = json.loads((run / "environment.json").read_text())["data"]
    assert (noted["training_images"], noted["unlabelled_images"]) == (48, 12)
    lines = [json.loads(line) for line in (run / "curves.jsonl").read_text().splitlines()]
    course = [line["regression"] for line in lines if "regression" in line]
    assert course[-1] < course[0]
    assert not (run / "cache").exists()
