"""Whole runs on a small generated data set: train, interrupt, resume, export, evaluate."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.trainer
pytest.importorskip("tensorflow", reason="needs TensorFlow")

from edge_reid.cli.main import main  # noqa: E402
from edge_reid.core.errors import ConfigError, TrainingError, UsageError  # noqa: E402
from edge_reid.core.manifest import load_embedding_manifest  # noqa: E402
from trainer.data.run_data import load_run_data  # noqa: E402
from trainer.recipe.recipe import Recipe, Unlabelled, make_recipe, read_recipe  # noqa: E402
from trainer.run import train_words as verbs  # noqa: E402
from trainer.run.train import start_run  # noqa: E402
from trainer.scoring.evaluate import evaluate_run, read_split  # noqa: E402

SMALL = {"height_px": 64, "width_px": 32}


def run_verb(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return int(left.value.code or 0)


def test_train_export_evaluate(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verbs one after the other, as a user types them."""
    lines = [json.loads(line) for line in (trained / "curves.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in lines if "validation_mAP" in line] == [0, 0, 1]
    noted = lines[-1]["validation_mAP"]
    assert evaluate_run(trained, None).scores()["mAP"] == pytest.approx(noted, abs=1e-3)

    model = tmp_path / "model.tflite"
    assert run_verb("export", trained, "--int8", "--budget", "100", "--out", model) == 0
    manifest = load_embedding_manifest(model)
    assert (manifest.dimension, manifest.input_height_px, manifest.input_width_px) == (16, 64, 32)
    assert manifest.metrics["held_out_cosine_mean"] > 0.95
    assert manifest.training_data[0] == "people: generated, free"
    # Four people held out show no threshold, and the run did not start from the shipped network.
    assert manifest.impostor_quantiles == ()
    assert "thresholds: none, the device will refuse this model" in capsys.readouterr().out

    people = read_recipe(trained / "recipe.json").sources[0].path
    assert run_verb("evaluate", model, people, "--json") == 0
    of_file = json.loads(capsys.readouterr().out)
    assert run_verb("evaluate", trained, people, "--json") == 0
    of_run = json.loads(capsys.readouterr().out)
    assert of_file["queries"] == of_run["queries"] == 24
    assert of_file["mAP"] == pytest.approx(of_run["mAP"], abs=0.1)
    assert (
        "on 4 people held out, 24 pictures"
        in load_run_data(read_recipe(trained / "recipe.json")).validation_remark()
    )


def test_queries_and_gallery_of_a_data_set_are_used_as_they_are(
    people: Path, tmp_path: Path
) -> None:
    for folder, keep in (("query", "_c1"), ("bounding_box_test", "_c2")):
        (tmp_path / "set" / folder).mkdir(parents=True)
        for file in people.glob(f"*{keep}*"):
            (tmp_path / "set" / folder / file.name).write_bytes(file.read_bytes())
    split = read_split(tmp_path / "set")
    assert (len(split.query), len(split.gallery)) == (36, 36)
    assert {p.parent.name for p in np.array(split.data.paths)[split.query]} == {"query"}


def test_mistakes_in_a_recipe_are_listed_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        make_recipe({"sources": [], "stages": [], "alpha": -1, "colour": "blue"})
    assert len(caught.value.problems) == 4
    stage = {"height_px": 160, "width_px": 84, "epochs": 1}
    with pytest.raises(ConfigError, match="width_px: expected a multiple of 16, got 84"):
        make_recipe({"sources": [{"path": "people"}], "stages": [stage]})
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(ConfigError, match="recipe.json"):
        read_recipe(tmp_path / "recipe.json")


@pytest.mark.parametrize("there", [(), ("runs",), ("runs", "runs/mine")])
def test_a_run_whose_data_cannot_be_used_leaves_nothing(
    recipe: Recipe, there: tuple[str, ...], tmp_path: Path
) -> None:
    """Nor does it take what lay there before."""
    for folder in there:
        (tmp_path / folder).mkdir()
    run = tmp_path / "runs" / "mine"
    if run.is_dir():
        (run / "recipe.json").write_text("of mine")
    before = sorted(tmp_path.rglob("*"))
    gone = recipe.sources[0].model_copy(update={"path": tmp_path / "gone"})
    with pytest.raises(TrainingError, match="expected a folder of person crops"):
        start_run(recipe.model_copy(update={"sources": (gone,)}), run)
    assert sorted(tmp_path.rglob("*")) == before
    if run.is_dir():
        assert (run / "recipe.json").read_text() == "of mine"


def test_a_run_whose_zip_cannot_be_unpacked_leaves_nothing(recipe: Recipe, tmp_path: Path) -> None:
    broken, run = tmp_path / "broken.zip", tmp_path / "run"
    with zipfile.ZipFile(broken, "w") as pictures:
        pictures.writestr("1.jpg", b"as it was")
    broken.write_bytes(broken.read_bytes().replace(b"as it was", b"as it is "))
    others = (Unlabelled(path=broken),)
    with pytest.raises(TrainingError, match=r"expected a \.zip that can be unpacked"):
        start_run(recipe.model_copy(update={"unlabelled": others}), run)
    assert not run.exists()


def test_start_weights_of_another_architecture_are_refused(recipe: Recipe, tmp_path: Path) -> None:
    wider = recipe.model_copy(update={"alpha": 0.5})
    with pytest.raises(TrainingError, match="belongs to another architecture"):
        start_run(wider, tmp_path / "run")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["people", "--recipe", "r.json", "--size", "64x32"], "got --size, DATA beside it"),
        (["--resume", "runs/mine", "--epochs", "3"], "expected --resume alone, got --epochs"),
        (["people", "--alpha", "0.75"], "got shipped; these weights are of osnet 1"),
        (["people", "--backbone", "mobilenetv2"], "expected --start mobilenet for mobilenetv2 1"),
        (
            ["people", "--backbone", "osnet", "--alpha", "0.5"],
            "expected --start open for osnet 0.5",
        ),
        (["people", "--start", "open", "--backbone", "mobilenetv2"], "got open; these weights are"),
    ],
)
def test_what_would_be_passed_over_is_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = [] if "--resume" in words else ["--out", tmp_path / "run"]
    assert run_verb("train", *words, *out) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "missing"),
    [(["people"], "--out"), (["--recipe", "r.json"], "--out"), (["--out", "runs/mine"], "DATA")],
)
def test_what_is_missing_is_told_with_an_example(
    words: list[str], missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_verb("train", *words) == 2
    told = f"got no {missing}; for example edge-reid train people/ --out runs/mine"
    assert told in " ".join(capsys.readouterr().err.split())


def test_sizes_are_read_height_first() -> None:
    assert verbs.parse_size("192x96") == (192, 96)
    assert verbs.parse_size("160x80") == (160, 80)


@pytest.mark.parametrize(
    "size", ["200x96", "0x96", "192", "192x96x96", "19²x96", f"{'9' * 5000}x96"]
)
def test_a_size_that_is_none_is_told_in_a_short_line(size: str) -> None:
    with pytest.raises(UsageError, match="multiples of 16") as told:
        verbs.parse_size(size)
    assert len(str(told.value)) < 200


def test_it_is_said_in_per_cent_whether_a_run_helped() -> None:
    start = {"validation_rank-1": 0.644, "validation_mAP": 0.68}
    end = {"validation_rank-1": 0.763, "validation_mAP": 0.759}
    told = verbs.outcome(start, end)
    assert told == "it helped (+7.9 points of mAP); in %: rank-1 64.4 → 76.3, mAP 68.0 → 75.9"
    worse = verbs.outcome(end, start)
    assert worse.startswith("it did not help, the start is no worse: more people, ")
    assert "data check finds wrong labels (-7.9 points of mAP); in %: rank-1 76.3 → 64.4" in worse
    assert verbs.outcome({"loss": 1.0}, end) == "in %: rank-1 76.3, mAP 75.9"


def test_the_next_command_names_a_file_as_the_run_also_if_that_has_a_dot() -> None:
    """Or the file of a run `gate-0.1` would be put in the place of that of `gate-0.2`."""
    told = verbs.next_command(Path("runs/gate-0.2"))
    assert told == "edge-reid export runs/gate-0.2 --int8 --out models/gate-0.2.tflite"
