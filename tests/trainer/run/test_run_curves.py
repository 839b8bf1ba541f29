"""What a run measured stays in its folder, and nothing of another run does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.trainer
pytest.importorskip("tensorflow", reason="needs TensorFlow")

from trainer.run.checkpoint import TrainingPosition  # noqa: E402
from trainer.run.run_curves import Curves, read_curves  # noqa: E402


def test_a_run_that_begins_anew_keeps_nothing_of_one_that_died_before(tmp_path: Path) -> None:
    """It left no checkpoint: the measurements there are of another start."""
    died = Curves(tmp_path, TrainingPosition())
    died.add(TrainingPosition(0, 0), {"validation_mAP": 0.1})
    anew = Curves(tmp_path, TrainingPosition())
    anew.add(TrainingPosition(0, 0), {"validation_mAP": 0.7})
    assert [line["validation_mAP"] for line in read_curves(tmp_path)] == [0.7]
    assert json.loads((tmp_path / "metrics.json").read_text())["first"]["validation_mAP"] == 0.7


def test_a_line_that_a_crash_broke_is_passed_over_when_a_run_goes_on(tmp_path: Path) -> None:
    kept = {"stage": 0, "step": 1, "loss": 2.0}
    (tmp_path / "curves.jsonl").write_text('{"stage": 0, "st\n' + json.dumps(kept) + "\n")
    Curves(tmp_path, TrainingPosition(0, 5))
    assert read_curves(tmp_path) == [kept]
