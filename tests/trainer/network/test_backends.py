"""Keras' other backends train, go on after a kill, and leave weights that TensorFlow exports.

Each runs in a process of its own, where it is installed: `pip install jax` or `pip install torch`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.trainer, pytest.mark.timeout(900)]
pytest.importorskip("tensorflow", reason="needs TensorFlow")

from support.small_runs import FREE, draw_people, small_recipe  # noqa: E402
from support.verb_process import VerbProcess, with_backend  # noqa: E402

from trainer.run.train import start_run  # noqa: E402
from trainer.scoring.evaluate import evaluate_run  # noqa: E402

WHOLE = FREE.model_copy(update={"frozen_blocks": 0, "epochs": 1, "learning_rate": 1e-3})


def triplet_losses(run: Path) -> list[float]:
    """Of every step; it does not see the classifier, which each backend draws its own way."""
    lines = [json.loads(line) for line in (run / "curves.jsonl").read_text().splitlines()]
    return [line["triplet"] for line in lines if "triplet" in line]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_trains_and_goes_on(backend: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    recipe = small_recipe(draw_people(tmp_path / "people"), tmp_path / "start.npz", WHOLE)
    recipe = recipe.model_copy(update={"checkpoint_every_s": 0.0})
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    run, here = tmp_path / "run", with_backend(backend)

    with VerbProcess(
        "train", "--recipe", tmp_path / "recipe.json", "--out", run, env=here
    ) as first:
        first.await_step(run, stage=0, step=2)
        first.stop(signal.SIGKILL)
    with VerbProcess("train", "--resume", run, env=here) as second:
        code, printed = second.leave()
    assert code == 0, printed

    start_run(recipe, tmp_path / "reference")
    found, expected = triplet_losses(run), triplet_losses(tmp_path / "reference")
    assert found[0] == pytest.approx(expected[0], rel=0.02)
    assert len(found) == len(expected)
    noted = json.loads((run / "metrics.json").read_text())["last"]["validation_mAP"]
    assert evaluate_run(run, None).scores()["mAP"] == pytest.approx(noted, abs=0.02)


def test_batches_are_shared_out_to_all_devices(tmp_path: Path) -> None:
    """JAX with its CPU cut in two devices sees what one device sees, and goes where that goes.

    The first losses agree only if BatchNorm looks at the whole batch. Later ones part, as Adam's
    first steps are signs of gradients: rounding decides where a gradient is next to nothing.
    """
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    recipe = small_recipe(draw_people(tmp_path / "people"), tmp_path / "start.npz", WHOLE)
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    runs = {devices: tmp_path / f"{devices}" for devices in (1, 2)}
    for devices, run in runs.items():
        flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
        words = "train", "--recipe", tmp_path / "recipe.json", "--out", run
        with VerbProcess(*words, env=with_backend("jax") | flags) as started:
            code, printed = started.leave()
        assert code == 0, printed
        assert ("on 2 devices" in printed) == (devices == 2)

    first, second = (triplet_losses(run)[0] for run in runs.values())
    assert first == pytest.approx(second, rel=1e-4)
    ways = [moved(tmp_path / "start.npz", run / "weights.npz") for run in runs.values()]
    assert ways[0] @ ways[1] > 0.9 * np.linalg.norm(ways[0]) * np.linalg.norm(ways[1])


def moved(start: Path, end: Path) -> np.ndarray:
    """What training added to all weights, in one row."""
    with np.load(start) as before, np.load(end) as after:
        return np.concatenate([(after[name] - before[name]).ravel() for name in before.files])


@pytest.mark.parametrize("name", ["jax", "nonsense"])
def test_a_backend_that_is_not_there_is_told(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(name) is not None:
        pytest.skip(f"{name} is installed")
    with VerbProcess("train", tmp_path, "--out", tmp_path / "run", env=with_backend(name)) as asked:
        code, printed = asked.leave()
    assert code == 1
    assert "error: KERAS_BACKEND: expected tensorflow, jax or torch" in printed
    assert "Traceback" not in printed
    assert os.linesep.join(printed.splitlines()[-1:]).startswith("error:")
