"""A whole run that learns from a network of another dimension, with every kind of loss."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.trainer
pytest.importorskip("tensorflow", reason="needs TensorFlow")

from edge_reid.core.bundled_models import shipped_model  # noqa: E402
from trainer.data.run_data import load_data_of  # noqa: E402
from trainer.recipe.loss_settings import Losses  # noqa: E402
from trainer.recipe.recipe import Recipe, Teacher  # noqa: E402
from trainer.recipe.target_settings import Targets  # noqa: E402
from trainer.run.train import start_run  # noqa: E402
from trainer.teacher.student_targets import Seen, targets_of  # noqa: E402
from trainer.teacher.teaching import find_teaching  # noqa: E402

TEACHER = shipped_model("person_reid_mobilenetv2_192x96_int8.tflite")


def test_a_student_of_16_numbers_learns_from_a_teacher_of_256(
    recipe: Recipe, tmp_path: Path
) -> None:
    every = Losses.model_validate(dict.fromkeys(Losses.model_fields, 0.1))
    asked = recipe.model_copy(
        update={"losses": every, "teachers": (Teacher(path=TEACHER, mirror=False),)}
    )
    run = tmp_path / "run"
    start_run(asked, run)
    with np.load(run / "teacher.npz") as stored:
        assert stored["emb"].shape == (48, 256)
    lines = [json.loads(line) for line in (run / "curves.jsonl").read_text().splitlines()]
    course = [line["regression"] for line in lines if "regression" in line]
    assert course[-1] < course[0]
    assert all(name in lines[-2] or name in lines[-1] for name in Losses.model_fields)

    data, targets = load_data_of(run, asked), Targets(camera=1.0, identity=0.5)
    seen = Seen(data.training_cameras, data.training_people)
    said, learnt = (
        find_teaching(each, data.training_paths, seen, run).rows
        for each in (asked, asked.model_copy(update={"targets": targets}))
    )
    np.testing.assert_array_equal(learnt, targets_of(said, seen, targets))
    assert not np.allclose(learnt, said, atol=0.01)
