"""What a run measured: `curves.jsonl` by step, `metrics.json` in sum, and TensorBoard's files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from edge_reid.core.files import whole_file
from trainer.files.tensorboard import ScalarFile
from trainer.run.checkpoint import TrainingPosition

CURVES = "curves.jsonl"
METRICS = "metrics.json"
TENSORBOARD = "tensorboard"
SCORE = "validation_mAP"
"""By which the best validation is chosen."""

Line: TypeAlias = dict[str, float]


class Curves:
    """One line a measurement; a run that goes on drops the lines after its checkpoint.

    A line holds `stage`, `step` and either the losses, their rate and speed, or the scores of a
    validation.
    """

    def __init__(self, run: Path, at: TrainingPosition) -> None:
        self._run = run
        before = (
            [] if at == TrainingPosition() else read_curves(run)
        )  # of a run that begins: another's
        self._lines = [
            line for line in before if (line["stage"], line["step"]) <= (at.stage, at.step)
        ]
        with whole_file(run / CURVES) as file:
            file.writelines(_encoded(line) for line in self._lines)
        # Steps begin anew with every stage, so each is a curve of its own.
        self._scalars = ScalarFile(run / TENSORBOARD / f"stage-{at.stage + 1}", at.step)

    def add(self, at: TrainingPosition, values: Mapping[str, float]) -> None:
        """Write down what was measured after `at.step` steps."""
        line: Line = {"stage": at.stage, "step": at.step}
        line |= {name: _rounded(value) for name, value in values.items()}
        self._lines.append(line)
        with (self._run / CURVES).open("ab") as file:
            file.write(_encoded(line))
        self._scalars.add(at.step, values)
        if SCORE in line:
            self._summarise()

    def _summarise(self) -> None:
        with whole_file(self._run / METRICS) as file:
            file.write(json.dumps(summary(self._lines), indent=2).encode() + b"\n")


def read_curves(run: Path) -> list[Line]:
    """The lines of a run's curves; one that is broken, as by a crash, is left out."""
    path = run / CURVES
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return [line for written in text.splitlines() if (line := measurement(written))]


def measurement(text: str) -> Line | None:
    """The numbers of a line; None where it is no JSON object with a stage and a step."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    if not isinstance(line, dict) or not {"stage", "step"} <= line.keys():
        return None
    return {name: value for name, value in line.items() if isinstance(value, int | float)}


def summary(lines: Sequence[Line]) -> dict[str, Line | list[Line]]:
    """All validations of a run, and the first, the best (by mAP) and the last of them.

    The first is of the weights the run began with, where those were a re-ID network.
    """
    scored = [line for line in lines if SCORE in line]
    best = max(scored, key=lambda line: line[SCORE])
    return {"first": scored[0], "best": best, "last": scored[-1], "validations": scored}


def _encoded(line: Line) -> bytes:
    return json.dumps(line).encode() + b"\n"


def _rounded(value: float) -> float:
    """The value in six significant digits: learning rates are small."""
    return float(f"{value:.6g}")
