"""Runs that are killed, interrupted, out of room or out of numbers, and what is left of them."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.trainer, pytest.mark.timeout(900)]
pytest.importorskip("tensorflow", reason="needs TensorFlow")

from support.small_runs import FREE, FROZEN, SHORTEN, draw_people, small_recipe  # noqa: E402
from support.verb_process import VerbProcess  # noqa: E402

from edge_reid.core.errors import TrainingError  # noqa: E402
from trainer.recipe.recipe import Recipe, read_recipe  # noqa: E402
from trainer.run.checkpoint import CHECKPOINT, TrainingPosition, read_checkpoint  # noqa: E402
from trainer.run.run_curves import SCORE, read_curves  # noqa: E402
from trainer.run.train import resume_run, start_run  # noqa: E402
from trainer.scoring.evaluate import evaluate_run  # noqa: E402


@pytest.fixture
def two_stages(short_network: None, tmp_path: Path) -> Recipe:
    """Two stages of eight steps, saved after every one."""
    recipe = small_recipe(draw_people(tmp_path / "people"), tmp_path / "start.npz", FROZEN, FREE)
    return recipe.model_copy(update={"checkpoint_every_s": 0.0})


def write_recipe(recipe: Recipe, file: Path) -> Path:
    file.write_text(recipe.model_dump_json())
    return file


def edit_recipe(run: Path, **changes: object) -> None:
    """Change a run's recipe between two processes, as a user does in an editor."""
    file = run / "recipe.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_run_killed_and_interrupted_ends_in_the_same_weights(
    two_stages: Recipe, tmp_path: Path
) -> None:
    """kill -9 in the first stage, Ctrl-C in the second, against a run left alone.

    The first has a share in what is exported, which must outlive its end.
    """
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    first_stage, second_stage = two_stages.stages
    shared = first_stage.model_copy(update={"end_share": 0.5}), second_stage
    mixed = two_stages.model_copy(update={"stages": shared})
    start_run(mixed, straight)

    recipe = write_recipe(mixed, tmp_path / "recipe.json")
    with VerbProcess("train", "--recipe", recipe, "--out", broken, prepare=SHORTEN) as first:
        first.await_step(broken, stage=0, step=3)
        assert first.stop(signal.SIGKILL)[0] == -signal.SIGKILL
    with VerbProcess("train", "--resume", broken, prepare=SHORTEN) as second:
        second.await_step(broken, stage=1, step=3)
        code, printed = second.stop(signal.SIGINT)
    assert code == 130
    assert f"saved; go on with: edge-reid train --resume {broken}" in printed
    resume_run(broken)

    for kept in ("stage-1.npz", "weights.npz"):
        with np.load(straight / kept) as a, np.load(broken / kept) as b:
            for name in a.files:
                np.testing.assert_allclose(a[name], b[name], atol=1e-4, err_msg=name)
    curves = [(run / "curves.jsonl").read_text().splitlines() for run in (straight, broken)]
    steps = [[(line["stage"], line["step"]) for line in map(json.loads, c)] for c in curves]
    assert steps[0] == steps[1]
    environment = json.loads((broken / "environment.json").read_text())
    assert len(environment["processes"]) == 3


@pytest.mark.parametrize(("how", "left"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_steps_done_are_kept_however_a_run_is_told_to_stop(
    how: signal.Signals, left: int, two_stages: Recipe, tmp_path: Path
) -> None:
    """No checkpoint is due for an hour: what is there was saved because of the signal."""
    rare = two_stages.model_copy(update={"checkpoint_every_s": 3600.0})
    recipe, run = write_recipe(rare, tmp_path / "recipe.json"), tmp_path / "run"
    with VerbProcess("train", "--recipe", recipe, "--out", run, prepare=SHORTEN) as told:
        told.await_step(run, stage=0, step=3)
        code, printed = told.stop(how)
    assert code == left
    assert f"saved; go on with: edge-reid train --resume {run}" in printed
    saved = read_checkpoint(run)
    assert saved is not None
    assert (saved.at.stage, saved.at.step) >= (0, 3)


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(
    recipe: Recipe, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    write_recipe(recipe, run / "recipe.json")
    assert resume_run(run)["validation_mAP"] > 0
    with pytest.raises(TrainingError, match="all its stages are done"):
        resume_run(run)
    with pytest.raises(TrainingError, match=f"--resume {run}"):
        start_run(recipe, run)
    with pytest.raises(TrainingError, match="expected recipe.json there"):
        resume_run(tmp_path / "elsewhere")


def test_a_full_disk_leaves_the_checkpoint_before(trained: Path, tmp_path: Path) -> None:
    """A real limit on the size of files, less than a checkpoint needs and more than all else."""
    run = tmp_path / "run"
    recipe = read_recipe(trained / "recipe.json")
    start_run(recipe.model_copy(update={"stages": recipe.stages[:1]}), run)
    before = (run / CHECKPOINT).read_bytes()
    edit_recipe(run, stages=[s.model_dump() for s in recipe.stages])
    room = max(file.stat().st_size for file in run.rglob("*.np[yz]")) + 10_000

    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))"
    with VerbProcess("train", "--resume", run, prepare=f"{SHORTEN}; {limit}") as starved:
        code, printed = starved.leave()
    assert code == 1
    assert "error: run" in printed
    assert "File too large; the checkpoint before is kept: make room" in printed
    assert "Traceback" not in printed
    assert "Exception ignored" not in printed
    assert (run / CHECKPOINT).read_bytes() == before
    assert not list(run.glob(".*.part"))
    assert resume_run(run)["validation_mAP"] > 0


def test_a_loss_that_explodes_stops_the_run_and_keeps_what_was_good(
    two_stages: Recipe, tmp_path: Path
) -> None:
    wild = two_stages.stages[1].model_copy(update={"learning_rate": 1e38})
    run = tmp_path / "run"
    with pytest.raises(
        TrainingError, match=r"stage 2, step \d+: expected .*; the last good checkpoint is kept"
    ) as stopped:
        start_run(two_stages.model_copy(update={"stages": (two_stages.stages[0], wild)}), run)
    assert stopped.value.exit_code == 1
    assert f"lower learning_rate in {run}/recipe.json" in str(stopped.value)

    saved = read_checkpoint(run)
    assert saved is not None
    assert saved.at.stage == 1
    for name, value in saved.model.items():
        assert np.isfinite(value).all(), name
    with np.load(run / "weights.npz") as weights:
        assert all(np.isfinite(weights[name]).all() for name in weights.files)

    edit_recipe(run, stages=[s.model_dump() for s in two_stages.stages])
    assert resume_run(run)["validation_mAP"] > 0


def test_the_best_weights_outlive_a_kill_and_a_divergence_since_the_last_checkpoint(
    two_stages: Recipe, tmp_path: Path
) -> None:
    """Nothing of the second stage is in a checkpoint: its best validation is gone from the curves
    when the run goes on, and its weights are there still.
    """
    best_kept = {"keep": "best", "evaluate_every": 1, "checkpoint_every_s": 3600.0}
    recipe = write_recipe(two_stages.model_copy(update=best_kept), tmp_path / "recipe.json")
    run = tmp_path / "run"
    with VerbProcess("train", "--recipe", recipe, "--out", run, prepare=SHORTEN) as killed:
        killed.await_step(run, stage=1, step=3)
        killed.stop(signal.SIGKILL)
    left = read_checkpoint(run)
    assert left is not None
    assert left.at == TrainingPosition(stage=1)
    best = evaluate_run(run, None).scores()["mAP"]

    first, second = (stage.model_dump() for stage in two_stages.stages)
    edit_recipe(run, stages=[first, second | {"learning_rate": 1e38}])
    with pytest.raises(TrainingError, match=r"stage 2, .* the last good checkpoint is kept"):
        resume_run(run)
    edit_recipe(run, stages=[first, second | {"learning_rate": 0.5}])
    reported = resume_run(run)["validation_mAP"]
    scored = [line for line in read_curves(run) if SCORE in line and line["stage"] == 1]
    assert max(line[SCORE] for line in scored) < best - 0.01, "nothing was worse"
    assert evaluate_run(run, None).scores()["mAP"] == pytest.approx(best, abs=1e-3)
    assert reported == pytest.approx(best, abs=1e-3)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda whole: whole[: len(whole) // 2], "damaged"),
        (lambda whole: whole[:5000] + b"\xff" * 64 + whole[5064:], "damaged"),
        (lambda _: b"", "damaged"),
    ],
    ids=["cut off", "overwritten", "empty"],
)
def test_a_damaged_checkpoint_is_told(
    trained: Path, tmp_path: Path, damage: object, told: str
) -> None:
    whole = (trained / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(damage(whole))  # type: ignore[operator]
    (tmp_path / "recipe.json").write_bytes((trained / "recipe.json").read_bytes())
    with pytest.raises(TrainingError, match=f"{told}.*delete it and resume"):
        resume_run(tmp_path)


def test_what_was_changed_between_must_fit_the_checkpoint(
    two_stages: Recipe, tmp_path: Path
) -> None:
    """The learning rate may change, the network and the people may not."""
    run = tmp_path / "run"
    recipe = write_recipe(two_stages, tmp_path / "recipe.json")
    with VerbProcess("train", "--recipe", recipe, "--out", run, prepare=SHORTEN) as first:
        first.await_step(run, stage=1, step=2)
        first.stop(signal.SIGKILL)

    edit_recipe(run, alpha=0.5)
    with pytest.raises(TrainingError, match="another architecture; set the network of"):
        resume_run(run)
    edit_recipe(run, alpha=0.35)

    stages = [stage.model_dump() for stage in two_stages.stages]
    edit_recipe(run, stages=[stages[0], stages[1] | {"frozen_blocks": 3}])
    with pytest.raises(TrainingError, match="set frozen_blocks and precision"):
        resume_run(run)
    edit_recipe(run, stages=[stages[0], stages[1] | {"learning_rate": 1e-4}])

    picture = next((tmp_path / "people").glob("*.jpg"))
    kept = picture.read_bytes()
    picture.unlink()
    with pytest.raises(TrainingError, match="put the data back, or begin anew with --start"):
        resume_run(run)
    picture.write_bytes(kept)
    assert resume_run(run)["validation_mAP"] > 0
