"""Who a run held out stays unseen by it, whatever becomes of its data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.trainer
pytest.importorskip("tensorflow", reason="needs TensorFlow")

from edge_reid.core.errors import TrainingError  # noqa: E402
from trainer.data.environment_file import ENVIRONMENT  # noqa: E402
from trainer.data.run_data import RunData, load_data_of, load_run_data  # noqa: E402
from trainer.recipe.recipe import Recipe, make_recipe  # noqa: E402
from trainer.run.checkpoint import TrainingPosition  # noqa: E402
from trainer.run.environment import write_environment  # noqa: E402
from trainer.scoring.crop_embeddings import CropEmbeddings  # noqa: E402
from trainer.scoring.data_refs import people_of, split_of  # noqa: E402
from trainer.scoring.evaluate import score, validation_split  # noqa: E402

MakePeople = Callable[..., Path]


def begun(people: Path, run: Path) -> Recipe:
    """A run in its folder, before its first step."""
    stage = {"height_px": 64, "width_px": 32, "epochs": 1}
    recipe = make_recipe({"sources": [{"path": people}], "stages": [stage]})
    run.mkdir()
    (run / "recipe.json").write_text(recipe.model_dump_json())
    write_environment(run, load_run_data(recipe), TrainingPosition(), "float32")
    return recipe


def names(data: RunData) -> set[str]:
    return {path.name[:4] for path in data.validation.paths}


@pytest.fixture
def people(make_people: MakePeople) -> Path:
    return make_people(identities=20, images=2)


def test_people_who_come_later_change_nothing_about_who_was_held_out(
    people: Path, tmp_path: Path
) -> None:
    recipe = begun(people, tmp_path / "run")
    before = load_run_data(recipe)
    for camera in (1, 2):
        shutil.copy(min(people.iterdir()), people / f"0021_c{camera}s1_000000_00.jpg")
    assert names(load_run_data(recipe)) != names(before)  # what drawing again would do

    now = load_data_of(tmp_path / "run", recipe)
    assert names(now) == names(before)
    assert {path.name for path in people_of(tmp_path / "run").paths} == {
        path.name for path in before.validation.paths
    }
    assert f"{people}/21" in now.train.identities


def test_a_held_out_person_who_is_gone_is_named(people: Path, tmp_path: Path) -> None:
    recipe = begun(people, tmp_path / "run")
    gone = min(names(load_run_data(recipe)))
    for file in people.glob(f"{gone}_*"):
        file.unlink()
    with pytest.raises(TrainingError, match=rf"held out, 1 of them .* the first is {int(gone)};"):
        load_data_of(tmp_path / "run", recipe)


@pytest.mark.parametrize("noted", [True, False])
def test_a_run_that_does_not_say_whom_it_held_out_needs_its_very_data(
    people: Path, tmp_path: Path, noted: bool
) -> None:
    recipe = begun(people, tmp_path / "run")
    file = tmp_path / "run" / ENVIRONMENT
    environment = json.loads(file.read_text())
    del environment["data"]["held_out_identities"]
    file.write_text(json.dumps(environment))
    if noted:
        assert names(load_data_of(tmp_path / "run", recipe)) == names(load_run_data(recipe))
    else:
        file.unlink()
        with pytest.raises(TrainingError, match=r"environment.json .* whom it held out"):
            load_data_of(tmp_path / "run", recipe)


@pytest.mark.parametrize(
    "damage",
    [b"", b'{"data": {"sha', b"[]", b"null", b"{}", b'{"data": 3}', b"\xff\xfe", b"[" * 100_000],
    ids=["emptied", "cut off", "a list", "null", "no data", "a number", "no text", "deep"],
)
def test_a_damaged_environment_is_one_error_and_holds_nobody_else_out(
    people: Path, tmp_path: Path, damage: bytes
) -> None:
    run = tmp_path / "run"
    recipe = begun(people, run)
    (run / ENVIRONMENT).write_bytes(damage)
    for work in (
        lambda: load_data_of(run, recipe),
        lambda: write_environment(run, load_run_data(recipe), TrainingPosition(0, 3), "float32"),
    ):
        with pytest.raises(TrainingError, match=r"environment.json: expected .* train again$"):
            work()
        assert (run / ENVIRONMENT).read_bytes() == damage

    write_environment(run, load_run_data(recipe), TrainingPosition(), "float32")  # from the start
    assert names(load_data_of(run, recipe)) == names(load_run_data(recipe))


def test_scores_on_people_trained_on_say_so(make_people: MakePeople, tmp_path: Path) -> None:
    recipe = begun(make_people("few", identities=6, images=2), tmp_path / "run")
    split = split_of(tmp_path / "run")
    assert split.name == "training-people"
    report = score(
        split, CropEmbeddings.of_equal_quality(np.eye(len(split.data), dtype=np.float32))
    )
    assert "nobody is held out" in report.remarks()
    assert validation_split(load_run_data(recipe)).caution == split.caution


def test_of_few_people_photos_are_held_out(make_people: MakePeople, tmp_path: Path) -> None:
    """A fifth of each person's, which nothing is trained on."""
    recipe = begun(make_people("few", identities=6, images=10), tmp_path / "run")
    data = load_run_data(recipe)
    split = validation_split(data)
    queries = {split.data.paths[row] for row in split.query}
    assert (len(queries), len(np.unique(split.data.labels[split.query]))) == (12, 6)
    assert queries.isdisjoint(data.train.paths)
    assert {split.data.paths[row] for row in split.gallery} == set(data.train.paths)
    assert len(data.train) == 48
    assert "validation: on 12 photos held out; too few people" in data.validation_remark()

    report = score(
        split, CropEmbeddings.of_equal_quality(np.eye(len(split.data), dtype=np.float32))
    )
    assert (split.name, report.ranking.queries) == ("held-out-photos", 12)
    assert "how well these very people are found again, not others" in report.remarks()


@pytest.mark.parametrize(("count", "held_out"), [(11, 0), (12, 2)])
def test_everybody_is_learnt_where_the_people_held_out_would_be_two(
    make_people: MakePeople, tmp_path: Path, count: int, held_out: int
) -> None:
    data = load_run_data(begun(make_people("few", identities=count, images=5), tmp_path / "run"))
    assert len(data.held_out_names) == held_out
    assert len(data.train.identities) == count - held_out
    assert len(data.held_out_photos) == (0 if held_out else count)


def test_photos_that_come_later_change_nothing_about_which_were_held_out(
    make_people: MakePeople, tmp_path: Path
) -> None:
    people = make_people("few", identities=6, images=10)
    recipe = begun(people, tmp_path / "run")
    before = load_run_data(recipe)
    for camera in (1, 2):
        shutil.copy(min(people.iterdir()), people / f"0001_c{camera}s1_000099_00.jpg")
    assert load_data_of(tmp_path / "run", recipe).held_out_photos == before.held_out_photos

    (people / before.held_out_photos[0]).unlink()
    with pytest.raises(TrainingError, match="the 12 photos that the run held out, 1 of them are"):
        load_data_of(tmp_path / "run", recipe)


def test_nothing_is_held_out_where_that_was_asked_for(
    make_people: MakePeople, tmp_path: Path
) -> None:
    few = make_people("few", identities=6, images=10)
    stage = {"height_px": 64, "width_px": 32, "epochs": 1}
    recipe = make_recipe({"sources": [{"path": few}], "stages": [stage], "hold_out": 0})
    assert load_run_data(recipe).held_out_photos == ()
    assert len(load_run_data(recipe).train) == 60


def test_where_nobody_was_seen_by_two_cameras_the_rule_is_left_out(tmp_path: Path) -> None:
    """A folder of a camera for each person, as an installer might sort them."""
    from support.small_runs import draw_people

    for file in draw_people(tmp_path / "drawn", images=2).iterdir():
        person = file.name[:4]
        place = tmp_path / "people" / person / f"camera {int(person) % 3}"
        place.mkdir(parents=True, exist_ok=True)
        file.rename(place / file.name)
    split = split_of(tmp_path / "people")
    report = score(
        split, CropEmbeddings.of_equal_quality(np.eye(len(split.data), dtype=np.float32))
    )
    assert report.ranking.queries == 12
    assert "nobody was seen by two cameras: the cross-camera rule is left out" in report.remarks()
