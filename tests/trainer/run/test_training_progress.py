"""What a training says of how far it is."""

from __future__ import annotations

import pytest

from trainer.run import training_progress
from trainer.run.training_progress import TrainingProgress


def test_the_time_left_is_that_of_the_steps_after_the_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first compiles the network: ten minutes here, where the others take half of one."""
    now_s = 0.0
    monkeypatch.setattr(training_progress.time, "monotonic", lambda: now_s)
    with TrainingProgress("stage 1 of 1", 10, 0.0) as progress:
        for step in range(1, 5):
            now_s += 600.0 if step == 1 else 30.0
            progress.advance(step, step / 10, 2.5, 60)
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first == "stage 1 of 1: step 1 of 10, loss 2.500"
    assert last == "stage 1 of 1: step 4 of 10, loss 2.500, 2 images/s, 0:03:00 left"
