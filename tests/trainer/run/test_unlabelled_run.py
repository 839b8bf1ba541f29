"""A whole run in which nobody is labelled: a teacher says what is alike, a source validates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.trainer
pytest.importorskip("tensorflow", reason="needs TensorFlow")

from support.small_runs import draw_people  # noqa: E402

from edge_reid.core.bundled_models import shipped_model  # noqa: E402
from edge_reid.core.errors import ConfigError  # noqa: E402
from trainer.export.export import ExportOptions, export_run  # noqa: E402
from trainer.recipe.loss_settings import Losses  # noqa: E402
from trainer.recipe.recipe import Recipe, Teacher, Unlabelled, make_recipe  # noqa: E402
from trainer.run.train import start_run  # noqa: E402

TEACHER = shipped_model("person_reid_mobilenetv2_192x96_int8.tflite")


def test_a_student_learns_from_a_teacher_alone_and_is_exported(
    recipe: Recipe, tmp_path: Path
) -> None:
    strangers = draw_people(tmp_path / "unlabelled", identities=6)
    alone = recipe.model_copy(
        update={
            "hold_out": "everybody",
            "losses": Losses.model_validate({"regression": 1.0, "relational": 1.0}),
            "teachers": (Teacher(path=TEACHER, mirror=False),),
            "unlabelled": (Unlabelled(path=strangers, terms="generated, too"),),
            "unlabelled_per_batch": 12,
        }
    )
    run = tmp_path / "run"
    scores = start_run(alone, run)
    assert 0 < scores["validation_mAP"] <= 1
    with np.load(run / "teacher.npz") as stored:
        assert len(stored["names"]) == 36  # the unlabelled pictures, and no other
    facts = json.loads((run / "environment.json").read_text())["data"]
    assert (facts["training_images"], facts["unlabelled_images"]) == (0, 36)
    assert len(facts["held_out_identities"]) == 12
    lines = [json.loads(line) for line in (run / "curves.jsonl").read_text().splitlines()]
    course = [line["regression"] for line in lines if "regression" in line]
    assert course[-1] < course[0]

    options = ExportOptions(precision="float32", allow_fewer=True)
    exported = export_run(run, tmp_path / "alone.tflite", options)
    assert exported.manifest.training_data[0] == "unlabelled: generated, too"
    assert not any("generated, free" in data for data in exported.manifest.training_data)


def test_losses_that_compare_people_need_some(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got losses triplet, which compare people"):
        make_recipe(
            {
                "sources": [{"path": tmp_path}],
                "stages": [{"height_px": 64, "width_px": 32, "epochs": 1}],
                "hold_out": "everybody",
                "losses": {"triplet": 1.0, "relational": 1.0},
                "unlabelled": [{"path": tmp_path}],
            }
        )
