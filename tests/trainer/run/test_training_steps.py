"""What one step and one stage do: schedule, clipping, moving average, frozen layers, seeds."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.trainer
pytest.importorskip("tensorflow", reason="needs TensorFlow")

import keras  # noqa: E402
from support.small_runs import FREE, FROZEN  # noqa: E402

from trainer.network.optimizer import make_optimizer  # noqa: E402
from trainer.recipe.recipe import Recipe, Stage, make_recipe, read_recipe  # noqa: E402
from trainer.run.checkpoint import (  # noqa: E402
    TrainingPosition,
    read_checkpoint,
    write_checkpoint,
)
from trainer.run.run_curves import read_curves  # noqa: E402
from trainer.run.train import resume_run, start_run  # noqa: E402
from trainer.run.training_loop import averaged_weights, learning_rate  # noqa: E402
from trainer.scoring.evaluate import evaluate_run  # noqa: E402

RATES = Stage(height_px=64, width_px=32, epochs=1, learning_rate=0.1, warmup_steps=4)


@pytest.fixture
def free(recipe: Recipe) -> Recipe:
    """Nothing is frozen: a network that starts at random learns only by its own BatchNorm."""
    return recipe.model_copy(update={"stages": (FREE.model_copy(update={"frozen_blocks": 0}),)})


def settings(**changes: object) -> Recipe:
    stage = {"height_px": 64, "width_px": 32, "epochs": 1}
    return make_recipe({"sources": [{"path": "people"}], "stages": [stage], **changes})


def test_the_rate_warms_up_and_follows_a_cosine_to_a_hundredth() -> None:
    rates = [learning_rate(RATES, step, step / 100) for step in range(101)]
    for step, rate in enumerate(rates):
        cosine = 0.01 + 0.99 * (1 + math.cos(math.pi * step / 100)) / 2
        assert rate == pytest.approx(0.1 * min(1, (step + 1) / 4) * cosine)
    assert np.argmax(rates) == 3
    assert rates[-1] == pytest.approx(0.001)


@pytest.fixture
def dense() -> keras.Model:
    """Five inputs, one output, no bias: small enough to recompute a step by hand."""
    keras.utils.set_random_seed(0)
    image = keras.Input((5,))
    return keras.Model(image, keras.layers.Dense(1, use_bias=False)(image))


def steps_of(model: keras.Model, recipe: Recipe, count: int) -> Iterator[np.ndarray]:
    """Train on the sum of the outputs, whose gradient is the input; yields the weights."""
    model.compile(optimizer=make_optimizer(recipe), loss=lambda _, y: keras.ops.sum(y))
    model.optimizer.build(model.trainable_variables)
    model.optimizer.learning_rate = 0.01
    for _ in range(count):
        model.train_on_batch(np.full((1, 5), 30.0, np.float32), np.zeros((1, 1), np.float32))
        yield np.array(model.get_weights()[0])


def test_a_long_gradient_is_shortened_to_clip_norm(dense: keras.Model) -> None:
    """Adam's first moment after one step is a tenth of the gradient it was given."""
    list(steps_of(dense, settings(clip_norm=2.0), 1))
    moment = next(v for v in dense.optimizer.variables if "momentum" in v.path)
    assert np.linalg.norm(moment) / 0.1 == pytest.approx(2.0, rel=1e-4)


def test_the_average_is_the_moving_one_and_is_put_back(dense: keras.Model) -> None:
    """It forgets over a third of the steps done, and at most over what `ema` says."""
    weights = list(steps_of(dense, settings(ema=0.6), 8))
    average = np.zeros_like(weights[0])
    momenta = [min(0.6, step / (step + 3)) for step in range(len(weights))]
    assert (momenta[0], momenta[1], momenta[-1]) == (0.0, 0.25, 0.6)
    for momentum, now in zip(momenta, weights, strict=True):
        average = momentum * average + (1 - momentum) * now
    with averaged_weights(dense):
        np.testing.assert_allclose(dense.get_weights()[0], average, rtol=1e-5)
    np.testing.assert_array_equal(dense.get_weights()[0], weights[-1])


def test_frozen_blocks_stay_as_they_began_and_free_ones_learn(trained: Path) -> None:
    """Of two stages the first freed nothing of the base, the second what comes after block 2."""
    with (
        np.load(trained.parent / "start.npz") as start,
        np.load(trained / "weights.npz") as end,
    ):
        changed = {n.split("_")[0] for n in start.files if not np.array_equal(start[n], end[n])}
    assert changed == {"block3", "block4", "last", "embedding"}


def test_a_seed_fixes_a_run_and_a_share_of_the_start_is_in_what_it_exports(
    free: Recipe, tmp_path: Path
) -> None:
    def end(name: str, **changes: object) -> np.ndarray:
        start_run(free.model_copy(update=changes), tmp_path / name)
        with np.load(tmp_path / name / "weights.npz") as weights:
            return weights["embedding_conv/kernel"]

    with np.load(tmp_path / "start.npz") as weights:
        start = weights["embedding_conv/kernel"]
    one = end("one")
    assert np.abs(one - start).max() > 1e-3
    np.testing.assert_allclose(end("mixed", start_share=0.25), 0.25 * start + 0.75 * one, atol=1e-4)
    assert np.abs(end("other", seed=2) - one).max() > 1e-3


def test_a_run_leaves_its_best_validation_if_told_to_and_that_outlives_a_resume(
    trained: Path, tmp_path: Path
) -> None:
    """A rate far too high spoils good weights: the best are those of the start."""
    spoiling = FREE.model_copy(update={"learning_rate": 0.5, "epochs": 1})
    good = read_recipe(trained / "recipe.json").model_copy(
        update={
            "start_from": trained / "weights.npz",
            "stages": (spoiling,),
            "evaluate_every": 1,
            "ema": 0.0,
            "keep": "best",
        }
    )
    run = tmp_path / "run"
    left = start_run(good, run)
    validated = [line["validation_mAP"] for line in read_curves(run) if "validation_mAP" in line]
    assert validated[-1] < max(validated) - 0.05, "the last is no worse, this would show nothing"
    assert left["validation_mAP"] == pytest.approx(max(validated), abs=1e-6)
    assert evaluate_run(run, None).scores()["mAP"] == pytest.approx(max(validated), abs=1e-3)

    stopped = read_checkpoint(run)
    assert stopped is not None
    write_checkpoint(replace(stopped, at=TrainingPosition(stage=0, step=len(validated) - 2)))
    assert resume_run(run)["validation_mAP"] == pytest.approx(max(validated), abs=1e-6)
    assert evaluate_run(run, None).scores()["mAP"] == pytest.approx(max(validated), abs=1e-3)


def test_minutes_that_end_a_stage_before_it_has_learnt_are_said(
    free: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second step comes too late for these, however idle the machine."""
    stage = FREE.model_copy(update={"frozen_blocks": 0, "least_steps": 7, "minutes": 1e-6})
    start_run(free.model_copy(update={"stages": (stage,)}), tmp_path / "short")
    said = " ".join(capsys.readouterr().err.split())
    assert re.search(
        "warning: stage 1 of 1, expected 7 steps at least, got [01] in 1e-06 minutes", said
    )


def test_everything_a_run_did_is_in_its_folder(trained: Path) -> None:
    lines = [json.loads(line) for line in (trained / "curves.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    assert [(line["stage"], line["step"]) for line in steps] == [
        (stage, step) for stage in (0, 1) for step in range(1, 9)
    ]
    assert steps[-1]["loss"] == pytest.approx(steps[-1]["softmax"] + steps[-1]["triplet"], abs=1e-4)
    assert steps[-1]["images_per_s"] > 0
    assert steps[0]["learning_rate"] == pytest.approx(learning_rate(FROZEN, 0, 0.0))
    assert steps[-1]["learning_rate"] == pytest.approx(learning_rate(FREE, 7, 7 / 8))

    scored = [line for line in lines if "validation_mAP" in line]
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["first"] == scored[0]
    assert metrics["last"] == scored[-1] == metrics["validations"][-1]
    assert metrics["best"]["validation_mAP"] == max(line["validation_mAP"] for line in scored)

    assert not (trained / "cache").exists()  # decoded people, and of no use any more
    environment = json.loads((trained / "environment.json").read_text())
    assert environment["data"]["training_images"] == 48
    assert environment["data"]["validation_images"] == 24
    assert environment["processes"][0]["backend"] == "tensorflow"
    assert environment["processes"][0]["keras"] == keras.__version__


def test_tensorboard_reads_what_was_written(trained: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(trained / "tensorboard" / "stage-2")).Reload()
    assert {"loss", "softmax", "triplet", "learning_rate", "images_per_s"} <= set(
        board.Tags()["scalars"]
    )
    lines = [json.loads(line) for line in (trained / "curves.jsonl").read_text().splitlines()]
    for name in ("loss", "validation_mAP"):
        shown = [(event.step, event.value) for event in board.Scalars(name)]
        assert shown == [
            (line["step"], pytest.approx(line[name], rel=1e-4))
            for line in lines
            if line["stage"] == 1 and name in line
        ]


@pytest.mark.parametrize(
    "policy", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.soak)]
)
def test_a_mixed_precision_run_trains_and_exports_float32(
    free: Recipe, tmp_path: Path, policy: str
) -> None:
    run = tmp_path / "run"
    scores = start_run(free.model_copy(update={"precision": policy}), run)
    assert scores["validation_mAP"] > 0
    with np.load(run / "weights.npz") as weights:
        assert {weights[name].dtype for name in weights.files} == {np.dtype("float32")}
    noted = json.loads((run / "environment.json").read_text())
    assert noted["processes"][0]["precision"] == policy
    assert keras.mixed_precision.dtype_policy().name == "float32"
