"""What is exported is the mean of the start, of earlier stages and of the last, as recipes ask."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

pytestmark = pytest.mark.trainer
pytest.importorskip("tensorflow", reason="needs TensorFlow")

from support.drawn_osnet import ALPHA, DIMENSION, drawn_osnet  # noqa: E402
from support.small_runs import FREE, FROZEN, draw_people, small_recipe  # noqa: E402

from edge_reid.core.errors import ConfigError, TrainingError  # noqa: E402
from trainer.network.model import build_embedder, save_weights, weights_by_name  # noqa: E402
from trainer.network.operation_network import build_trainable  # noqa: E402
from trainer.network.osnet import resampled_pooling  # noqa: E402
from trainer.recipe.recipe import Recipe, make_recipe, read_recipe  # noqa: E402
from trainer.run.checkpoint import (  # noqa: E402
    TrainingPosition,
    read_checkpoint,
    write_checkpoint,
)
from trainer.run.run_curves import read_curves  # noqa: E402
from trainer.run.train import resume_run, start_run  # noqa: E402
from trainer.run.weight_mean import WeightMean  # noqa: E402
from trainer.scoring.evaluate import evaluate_run  # noqa: E402

Weights = dict[str, npt.NDArray[np.float32]]
ROUNDED = FREE.model_copy(update={"int8_rounding": True})


@pytest.fixture
def first_stage(short_network: None, tmp_path: Path) -> Recipe:
    return small_recipe(draw_people(tmp_path / "people"), tmp_path / "start.npz", FREE)


def arrays(file: Path) -> Weights:
    with np.load(file) as stored:
        return dict(stored)


def ended_with(run: Path) -> Weights:
    """What the stage before ended with, by the checkpoint, before any mean is taken."""
    saved = read_checkpoint(run)
    assert saved is not None
    assert saved.at.step == 0
    return {name: np.array(value) for name, value in saved.model.items()}


def test_a_stage_added_to_a_run_is_weighed_with_the_one_before_and_with_the_start(
    first_stage: Recipe, tmp_path: Path
) -> None:
    """A fifth of the start, a quarter of the first stage, the rest of the second, rounded one."""
    run, plain = tmp_path / "run", tmp_path / "plain"
    start_run(first_stage.model_copy(update={"start_share": 0.2}), run)
    first = ended_with(run)
    quarter = FREE.model_copy(update={"end_share": 0.25})
    longer = read_recipe(run / "recipe.json").model_copy(update={"stages": (quarter, ROUNDED)})
    (run / "recipe.json").write_text(longer.model_dump_json())
    last_scores = resume_run(run)

    start, second, exported = arrays(tmp_path / "start.npz"), ended_with(run), run / "weights.npz"
    left = arrays(exported)
    for name in start:
        mean = 0.2 * start[name] + 0.25 * first[name] + 0.55 * second[name]
        np.testing.assert_allclose(left[name], mean, rtol=1e-5, atol=1e-6, err_msg=name)
    statistics = [name for name in start if name.endswith("moving_variance")]
    moved = max(np.abs(second[name] - start[name]).max() for name in statistics)
    assert moved > 1e-3, "this would show nothing of the norms' statistics"
    assert read_curves(run)[-1]["validation_mAP"] == pytest.approx(last_scores["validation_mAP"])
    assert evaluate_run(run, None).scores()["mAP"] == pytest.approx(
        last_scores["validation_mAP"], abs=1e-3
    )

    start_run(first_stage.model_copy(update={"stages": (FREE, ROUNDED)}), plain)
    for name, learnt in ended_with(plain).items():
        np.testing.assert_allclose(second[name], learnt, atol=1e-4, err_msg=name)
    assert not list(plain.glob("stage-*"))


def test_an_end_that_was_not_kept_is_told_with_what_to_do(
    first_stage: Recipe, tmp_path: Path
) -> None:
    """The share was set when the next stage had begun."""
    run = tmp_path / "run"
    start_run(first_stage.model_copy(update={"stages": (FROZEN, FREE)}), run)
    file = run / "recipe.json"
    recipe = json.loads(file.read_text())
    recipe["stages"][0]["end_share"] = 0.25
    file.write_text(json.dumps(recipe))
    stopped = read_checkpoint(run)
    assert stopped is not None
    write_checkpoint(replace(stopped, at=TrainingPosition(stage=1, step=3)))
    told = rf"expected stage-1.npz, .* set that to 0 in {file}, or put the file back"
    with pytest.raises(TrainingError, match=told):
        resume_run(run)


def test_the_pooling_of_an_osnet_is_resampled_before_it_is_weighed(tmp_path: Path) -> None:
    """The first stage saw crops twice as high as the second."""
    first = build_trainable(drawn_osnet(128, 64))
    save_weights(first, tmp_path / "stage-1.npz")
    recipe = make_recipe(
        {
            "sources": [{"path": "people"}],
            "stages": [
                {"height_px": 128, "width_px": 64, "epochs": 1, "end_share": 0.25},
                {"height_px": 64, "width_px": 32, "epochs": 1},
            ],
            "start_from": "start.npz",
            "backbone": "osnet",
            "alpha": ALPHA,
            "dimension": DIMENSION,
        }
    )
    network = build_embedder(recipe, 64, 32)
    own = weights_by_name(network)
    mean = WeightMean.of(recipe, tmp_path, 1, network).with_own(own)
    pooling = "pool_kernel/kernel"
    seen = resampled_pooling(weights_by_name(first)[pooling], *own[pooling].shape[-2:])
    np.testing.assert_allclose(mean[pooling], 0.25 * seen + 0.75 * own[pooling], rtol=1e-5)
    assert mean.keys() == own.keys()


@pytest.mark.parametrize(
    ("start_share", "shares", "told"),
    [
        (0.0, (0.0, 0.3), "expected end_share of earlier stages alone, got 0.3 of the last"),
        (0.5, (0.5, 0.0), "expected less than 1 together, .* got 1; lower them"),
        (0.1, (0.2, 0.7, 0.0), "expected less than 1 together, .* got 1; lower them"),
        (0.0, (1.5, 0.0), "end_share"),
    ],
)
def test_shares_that_leave_the_last_stage_nothing_are_refused(
    start_share: float, shares: tuple[float, ...], told: str
) -> None:
    size = {"height_px": 64, "width_px": 32, "epochs": 1}
    settings = {
        "sources": [{"path": "people"}],
        "stages": [size | {"end_share": share} for share in shares],
        "start_share": start_share,
        "start_from": "start.npz",
    }
    with pytest.raises(ConfigError, match=told):
        make_recipe(settings)
